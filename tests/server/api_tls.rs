//! TLS of the HTTP API: HTTP/1.1 and HTTP/2, and what is said of files that do not fit.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use codemint_test_support::authority::Authority;
use codemint_test_support::on_stores;
use codemint_test_support::processes::reserved_port;
use codemint_test_support::site::Worker;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const CERTIFICATE: &str = "CODEMINT__SERVER__TLS_CERT_FILE";
const KEY: &str = "CODEMINT__SERVER__TLS_KEY_FILE";

/// Writes a file for its owner alone, and returns its path.
fn write(directory: &Path, name: &str, content: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, content).expect("a file");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
    path.display().to_string()
}

/// Connects as a client that trusts the authority and speaks one protocol; `None` while nothing answers.
async fn connect(authority: &Authority, address: SocketAddr, protocol: &[u8]) -> Option<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let pem = authority.certificate_pem();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(address).await.ok()?;
    let name = ServerName::try_from(address.ip().to_string()).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()
}

on_stores!([sqlite] requests_are_answered_over_tls_in_both_versions_of_http);
async fn requests_are_answered_over_tls_in_both_versions_of_http(place: TestStore) {
    let authority = Authority::create();
    let (certificate, key) = authority.server_certificate("127.0.0.1");
    let certificate = write(place.path(), "certificate.pem", &certificate);
    let key = write(place.path(), "key.pem", &key);
    let address = SocketAddr::from(([127, 0, 0, 1], reserved_port()));
    let program = place.codemint(["serve"]).env("CODEMINT__SERVER__LISTEN", &address.to_string());
    let server = Worker::start(program.env(CERTIFICATE, &certificate).env(KEY, &key), place.path());
    wait_until("it answers", async || connect(&authority, address, b"http/1.1").await.is_some()).await;

    let mut stream = connect(&authority, address, b"http/1.1").await.expect("a connection");
    let request = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("/v1/validations"), "{answer}");

    let mut stream = connect(&authority, address, b"h2").await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // The preface of a client, and a frame of settings without settings; the server's first frame is one of settings as well.
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("a preface");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame[3], 4, "{frame:?}");

    let strangers = Authority::create();
    assert!(connect(&strangers, address, b"h2").await.is_none(), "the certificate is not theirs");
    server.terminate().await.expect_code(0);
}

on_stores!([sqlite] files_that_do_not_fit_end_the_start_with_what_is_wrong);
async fn files_that_do_not_fit_end_the_start_with_what_is_wrong(place: TestStore) {
    let authority = Authority::create();
    let (certificate, key) = authority.server_certificate("127.0.0.1");
    let (_, other_key) = authority.server_certificate("127.0.0.1");
    let certificate = write(place.path(), "certificate.pem", &certificate);
    let empty = write(place.path(), "empty.pem", "");
    let other = write(place.path(), "other.pem", &other_key);
    let readable = write(place.path(), "readable.pem", &key);
    fs::set_permissions(&readable, fs::Permissions::from_mode(0o644)).expect("permissions");
    for (certificate, key, part) in [
        (certificate.as_str(), "", "set both, or neither"),
        ("", other.as_str(), "set both, or neither"),
        ("/none", other.as_str(), "server.tls_cert_file"),
        (empty.as_str(), other.as_str(), "server.tls_cert_file"),
        (certificate.as_str(), empty.as_str(), "holds no private key in PEM"),
        (certificate.as_str(), readable.as_str(), "run chmod 600"),
        (certificate.as_str(), other.as_str(), "does not fit the certificate"),
    ] {
        let ran = place.codemint(["serve"]).env(CERTIFICATE, certificate).env(KEY, key).run().await.expect_code(2);
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        assert!(!ran.stderr.contains("BEGIN"), "{}", ran.stderr);
    }
}
