//! A certificate for loopback, and clients that trust it.

use anyhow::Result;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::ring};
use std::{
    fs,
    io::Write,
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
};
use tempfile::TempDir;

/// A certificate for loopback, and clients that trust it.
pub struct Tls {
    config: ClientConfig,
    folder: TempDir,
}

impl Tls {
    /// Makes a certificate and its key.
    ///
    /// # Errors
    /// Fails if the files can't be written.
    pub fn new() -> Result<Self> {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let folder = TempDir::new()?;
        fs::write(folder.path().join("certificate.pem"), certified.cert.pem())?;
        fs::write(
            folder.path().join("key.pem"),
            certified.signing_key.serialize_pem(),
        )?;
        let mut roots = RootCertStore::empty();
        roots.add(certified.cert.der().clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config, folder })
    }

    /// Returns the path of the certificate in PEM.
    pub fn certificate(&self) -> PathBuf {
        self.path("certificate.pem")
    }

    /// Returns the path of the certificate's private key in PEM.
    pub fn key(&self) -> PathBuf {
        self.path("key.pem")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    /// Returns the options of a server with this certificate.
    pub fn options(&self) -> [String; 4] {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        [
            "--tls-cert".into(),
            text(self.certificate()),
            "--tls-key".into(),
            text(self.key()),
        ]
    }

    /// Connects to a server at `address:port` and begins the handshake, offering these protocols.
    ///
    /// # Errors
    /// Fails if the connection does.
    pub fn connect_with(
        &self,
        address: &str,
        protocols: &[&str],
    ) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let mut config = self.config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let connection = ClientConnection::new(Arc::new(config), "localhost".try_into()?)?;
        let mut stream = StreamOwned::new(connection, TcpStream::connect(address)?);
        stream.flush()?;
        Ok(stream)
    }

    /// Connects to a server at `address:port`.
    ///
    /// # Errors
    /// Fails if the connection does.
    pub fn connect(&self, address: &str) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        self.connect_with(address, &[])
    }
}
