//! How a PostgreSQL server is reached: TLS with a checked certificate, and a role with no more rights than it needs.

use codemint::store::Store;
use codemint::store::location::Location;
use codemint::store::schema::SchemaStatus;
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::codemint::Codemint;
use crate::support::postgres::{Durability, Server, Setup};
use crate::support::stores::TestStore;

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
    assert_eq!(Store::migrate(&location).await.expect("a schema"), SchemaStatus::Current { version: 2 });
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

#[tokio::test]
async fn a_role_with_the_documented_rights_can_mint_cancel_and_verify() {
    let place = TestStore::postgres().await;
    let mut url = url::Url::parse(&place.url).expect("a URL");
    let role = format!("minter_of_{}", url.path().trim_start_matches('/'));
    place
        .execute(&format!(
            "create role {role} login password 'minter';
             grant select, insert, update on jobs, chunks, masks to {role};
             grant select on reserved to {role};
             grant select, insert on codes to {role};
             grant select on _sqlx_migrations to {role};
             insert into codes (code, run_no) select to_char(n, 'FM00'), 0 from generate_series(0, 49) n"
        ))
        .await;
    url.set_username(&role).expect("a user");
    url.set_password(Some("minter")).expect("a password");
    let codemint = |args: &[&str]| Codemint::new(place.path()).args(["--store", url.as_str()]).args(args);

    let minted =
        codemint(&["generate", "##", "--count", "50", "--chunk-size", "5", "--json"]).run().await.expect_code(0);
    let job = minted.json();
    assert_eq!(job["minted"], 50, "codes in the way are looked up and a further round is planned");
    let id = job["job_id"].as_str().expect("an id");
    codemint(&["verify", id]).run().await.expect_code(0);
    codemint(&["jobs", "cancel", id]).run().await.expect_code(3);
    let refused = codemint(&["migrate"]).run().await;
    assert_eq!(refused.code, 0, "a current schema needs no rights to stay as it is: {}", refused.stderr);
    place.execute(&format!("drop owned by {role}; drop role {role}")).await;
}
