//! TLS to PostgreSQL: the server's certificate is checked against a given authority and the host's name.

use codemint::store::Store;
use codemint::store::location::Location;
use codemint::store::schema::SchemaStatus;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::codemint::Codemint;
use crate::support::postgres::{Durability, Server, Setup};

/// A certificate authority, and a server certificate for one address.
struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key, as PEM.
    fn server_certificate(&self, address: &str) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![address.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }
}

#[tokio::test]
async fn a_server_is_believed_only_with_a_certificate_of_the_given_authority_for_its_name() {
    let authority = Authority::new();
    let (certificate, key) = authority.server_certificate("127.0.0.1");
    let server = Server::start_with(&Setup {
        durability: Durability::None,
        settings: "ssl = on\nssl_cert_file = '{directory}/server.crt'\nssl_key_file = '{directory}/server.key'"
            .to_owned(),
        access_rules: Some("local all all trust\nhostssl all all 127.0.0.1/32 trust\n".to_owned()),
        files: vec![("server.crt".to_owned(), certificate), ("server.key".to_owned(), key)],
    });
    let directory = tempfile::tempdir().expect("a directory");
    let (right, wrong) = (directory.path().join("right.pem"), directory.path().join("wrong.pem"));
    std::fs::write(&right, authority.certificate.pem()).expect("a file");
    std::fs::write(&wrong, Authority::new().certificate.pem()).expect("a file");
    let url = |parameters: &str| format!("{}?{parameters}", server.url("postgres"));

    let verified = url(&format!("sslmode=verify-full&sslrootcert={}", right.display()));
    let location: Location = verified.parse().expect("a location");
    assert_eq!(Store::migrate(&location).await.expect("a schema"), SchemaStatus::Current { version: 1 });
    let generate =
        |url: &str| Codemint::new(directory.path()).args(["--store", url, "generate", "A####", "--count", "10"]);
    generate(&verified).run().await.expect_code(0);

    let stranger = url(&format!("sslmode=verify-full&sslrootcert={}", wrong.display()));
    let refused = generate(&stranger).run().await.expect_code(2);
    assert!(refused.stderr.contains("invalid peer certificate"), "{}", refused.stderr);

    let other_name = verified.replace("127.0.0.1", "localhost");
    let refused = generate(&other_name).run().await.expect_code(2);
    assert!(refused.stderr.contains("not valid for name"), "{}", refused.stderr);

    let plain = generate(&url("sslmode=disable")).run().await.expect_code(2);
    assert!(plain.stderr.contains("no encryption"), "{}", plain.stderr);

    let missing = url("sslmode=verify-full&sslrootcert=/no/such/file.pem");
    let refused = generate(&missing).run().await.expect_code(2);
    assert!(refused.stderr.contains("/no/such/file.pem"), "{}", refused.stderr);
}
