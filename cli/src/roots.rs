//! Certificate authorities that are trusted to sign a server's certificate.

use anyhow::{Context, ensure};
use rustls::{RootCertStore, pki_types::CertificateDer};
use std::{env, fs, path::Path};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Variable with a file of authorities to trust instead of the usual ones, as for OpenSSL and curl.
const USUAL: &str = "SSL_CERT_FILE";

/// Returns a TLS configuration that trusts the usual authorities, or those of `SSL_CERT_FILE`, plus
/// those in the given file.
pub(crate) fn tls(more: Option<&Path>) -> anyhow::Result<TlsConfig> {
    let usual = env::var_os(USUAL).filter(|path| !path.is_empty());
    let config = TlsConfig::builder();
    if usual.is_none() && more.is_none() {
        return Ok(config.root_certs(RootCerts::WebPki).build());
    }
    let mut roots = match &usual {
        Some(path) => read(Path::new(path)).context(USUAL)?,
        None => {
            let usual = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            usual.map(|der| Certificate::from_der(der).to_owned()).collect()
        }
    };
    if let Some(path) = more {
        roots.extend(read(path).context("--ca-cert")?);
    }
    Ok(config.root_certs(RootCerts::new_with_certs(&roots)).build())
}

/// Reads the certificates in a PEM file.
fn read(path: &Path) -> anyhow::Result<Vec<Certificate<'static>>> {
    let shown = path.display();
    let text = fs::read(path).with_context(|| format!("can't read {shown}"))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        let item = item.with_context(|| format!("{shown} is not a PEM file"))?;
        if let PemItem::Certificate(certificate) = item {
            found.push(certificate);
        }
    }
    ensure!(
        !found.is_empty(),
        "{shown} has no certificate in PEM (a block of -----BEGIN CERTIFICATE-----)"
    );
    for (place, certificate) in (1..).zip(&found) {
        // An unusable certificate would otherwise be skipped silently.
        RootCertStore::empty()
            .add(CertificateDer::from(certificate.der()))
            .with_context(|| format!("certificate {place} in {shown} can't be read"))?;
    }
    Ok(found)
}
