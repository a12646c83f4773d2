use anyhow::Context;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::path::PathBuf;

/// Where a certificate chain and its private key lie, as PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate first, then those that sign it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl TlsFiles {
    /// Reads them.
    pub(super) fn load(&self) -> anyhow::Result<ServerConfig> {
        let shown = self.certificate.display();
        let chain: Vec<_> = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect)
            .with_context(|| format!("reading the certificate {shown}"))?;
        anyhow::ensure!(!chain.is_empty(), "{shown} has no certificate");
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .with_context(|| format!("reading the key {}", self.key.display()))?;
        ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("using the certificate with its key")
    }
}
