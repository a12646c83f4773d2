//! Durable removal from a folder of models, which `object_store` lacks.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::Path,
};

/// Removes a file durably. Does nothing if it isn't there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        removed => removed?,
    }
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}
