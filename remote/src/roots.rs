//! Certificate authorities that are trusted to sign a server's certificate.

use crate::{Connection, RemoteError};
use rustls::{RootCertStore, pki_types::CertificateDer};
use std::{env, fs, path::Path};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Variable with a file of authorities to trust instead of the usual ones, as for OpenSSL and curl.
const USUAL: &str = "SSL_CERT_FILE";

/// Returns a TLS configuration that trusts the usual authorities, or those of `SSL_CERT_FILE`, plus
/// those in the connection's file.
pub(crate) fn tls(connection: &Connection) -> Result<TlsConfig, RemoteError> {
    let usual = env::var_os(USUAL).filter(|path| !path.is_empty());
    let more = connection.ca_cert.as_deref();
    let config = TlsConfig::builder();
    if usual.is_none() && more.is_none() {
        return Ok(config.root_certs(RootCerts::WebPki).build());
    }
    let named = |setting: &str, problem| RemoteError::Setting(format!("{setting}: {problem}"));
    let mut roots = match &usual {
        Some(path) => read(Path::new(path)).map_err(|problem| named(USUAL, problem))?,
        None => {
            let usual = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            usual.map(|der| Certificate::from_der(der).to_owned()).collect()
        }
    };
    if let Some(path) = more {
        let setting = connection.naming.setting("ca-cert");
        roots.extend(read(path).map_err(|problem| named(&setting, problem))?);
    }
    Ok(config.root_certs(RootCerts::new_with_certs(&roots)).build())
}

/// Reads the certificates in a PEM file. The error describes the problem.
fn read(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let shown = path.display();
    let text = fs::read(path).map_err(|error| format!("can't read {shown}: {error}"))?;
    let mut found = Vec::new();
    for item in parse_pem(&text) {
        let item = item.map_err(|error| format!("{shown} is not a PEM file: {error}"))?;
        if let PemItem::Certificate(certificate) = item {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(format!(
            "{shown} has no certificate in PEM (a block of -----BEGIN CERTIFICATE-----)"
        ));
    }
    for (place, certificate) in (1..).zip(&found) {
        // An unusable certificate would otherwise be skipped silently.
        RootCertStore::empty()
            .add(CertificateDer::from(certificate.der()))
            .map_err(|error| format!("certificate {place} in {shown} can't be read: {error}"))?;
    }
    Ok(found)
}
