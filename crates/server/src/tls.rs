//! TLS for the listener: a certificate chain and its key, for HTTP/2 and HTTP/1.1.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What is wrong with a certificate or its key. Nothing of the key is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("holds no certificate in PEM")]
    Certificate,
    #[error("holds no private key in PEM")]
    Key,
    #[error("does not fit the certificate: {0}")]
    Mismatch(String),
}

/// Reads a certificate chain and its key, both in PEM.
///
/// # Errors
/// If one of them is missing, or they do not belong together.
pub fn acceptor(certificates: &[u8], key: &[u8]) -> Result<TlsAcceptor, TlsError> {
    let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(certificates).collect();
    let certificates = read.ok().filter(|read| !read.is_empty()).ok_or(TlsError::Certificate)?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|_content_is_secret| TlsError::Key)?;
    let mismatch = |error: tokio_rustls::rustls::Error| TlsError::Mismatch(error.to_string());
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(mismatch)?;
    let mut config = config.with_no_client_auth().with_single_cert(certificates, key).map_err(mismatch)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
