//! TLS certificate and key of the server.

use anyhow::{Context, anyhow};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::path::PathBuf;

/// Paths of a certificate chain and its private key, as PEM.
#[derive(Clone, Debug)]
pub(crate) struct TlsFiles {
    /// Certificate chain: the server's certificate first, then its issuers'.
    pub(crate) certificate: PathBuf,
    /// Private key of the server's certificate.
    pub(crate) key: PathBuf,
}

impl TlsFiles {
    /// Loads both files.
    pub(crate) fn load(&self) -> anyhow::Result<ServerConfig> {
        let shown = self.certificate.display();
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .with_context(|| format!("reading the certificate {shown}"))?;
        anyhow::ensure!(!chain.is_empty(), "{shown} has no certificate");
        let shown = self.key.display();
        let text = std::fs::read(&self.key).with_context(|| format!("reading the key {shown}"))?;
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let encrypted = text.windows(9).any(|word| word == b"ENCRYPTED");
            if encrypted {
                anyhow!("{shown} is encrypted: the server needs the key without a passphrase, in a file that only it can read")
            } else {
                anyhow!("{shown} has no private key in PEM: {error}")
            }
        })?;
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("using the certificate with its key")
    }
}
