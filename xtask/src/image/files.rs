//! The files of the image: below `root` what belongs to root, below `data` the server's empty data
//! directory.

use super::USER;
use crate::{command::say, paths};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use std::{fs, path::Path};
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// The server, at the top.
const SERVER: &str = "blindscore-server";
/// Where TLS looks for the authorities that sign object stores' certificates.
const AUTHORITIES: &str = "etc/ssl/certs/ca-certificates.crt";
/// Folder with the licences.
const LICENCES: &str = "usr/share/doc/blindscore";

/// Writes the files of the image into a new folder.
pub(super) fn write(folder: &Path, server: &Path) -> anyhow::Result<()> {
    say("Collecting the files of the image");
    let root = folder.join("root");
    fs::create_dir_all(folder.join("data"))?;
    // The parent of the data directory, which the server's user doesn't own.
    fs::create_dir_all(root.join("var/lib"))?;
    put(&root, SERVER, &fs::read(server)?)?;
    put(&root, AUTHORITIES, authorities().as_bytes())?;
    let passwd = format!(
        "root:x:0:0:root:/:/sbin/nologin\nblindscore:x:{USER}:{USER}::/var/lib/blindscore:/sbin/nologin\n"
    );
    put(&root, "etc/passwd", passwd.as_bytes())?;
    let group = format!("root:x:0:\nblindscore:x:{USER}:\n");
    put(&root, "etc/group", group.as_bytes())?;
    for licence in ["LICENSE-APACHE", "LICENSE-MIT", "NOTICE"] {
        let text = fs::read(paths::root()?.join(licence))?;
        put(&root, &format!("{LICENCES}/{licence}"), &text)?;
    }
    open(folder)
}

fn put(root: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = root.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(&path, bytes)?)
}

/// Lets everyone read a folder and run the server in it, whatever the umask is.
#[cfg(unix)]
fn open(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            open(&path)?;
        }
        let run = path.is_dir() || path.ends_with(SERVER);
        fs::set_permissions(&path, fs::Permissions::from_mode(if run { 0o755 } else { 0o644 }))?;
    }
    Ok(())
}

/// Images are built on Linux only.
#[cfg(not(unix))]
fn open(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

/// Returns Mozilla's authorities as PEM.
fn authorities() -> String {
    let mut pem = String::new();
    for der in TLS_SERVER_ROOT_CERTS {
        pem += "-----BEGIN CERTIFICATE-----\n";
        let text = BASE64.encode(der);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(64));
            pem += line;
            pem += "\n";
            rest = more;
        }
        pem += "-----END CERTIFICATE-----\n";
    }
    pem
}
