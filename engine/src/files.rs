//! Reading files of unknown origin: anything but a regular file is refused, and opening never
//! blocks.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    path::Path,
};

/// Opens a regular file. Reading from a device, or a pipe that nobody writes to, could last for
/// ever.
///
/// # Errors
/// Fails if the file can't be opened or isn't a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(path, false)
}

/// Opens a regular file that isn't a symbolic link.
///
/// # Errors
/// Fails if the file can't be opened, isn't a regular file, or is a symbolic link.
pub fn open_unlinked(path: &Path) -> io::Result<File> {
    if path.symlink_metadata()?.is_symlink() {
        return Err(io::Error::other(
            "it is a symbolic link: put the file itself there",
        ));
    }
    // A link that is created after the check isn't followed either.
    open_with(path, true)
}

fn open_with(path: &Path, unlinked: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        let link = if unlinked {
            OFlags::NOFOLLOW
        } else {
            OFlags::empty()
        };
        // The flags of open(2) fit into a C int.
        options.custom_flags((OFlags::NONBLOCK | link).bits() as i32);
    }
    #[cfg(not(unix))]
    let _ = unlinked;
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other(
            "it is a folder, a pipe or a device: only files are read, so write it into one first",
        ));
    }
    Ok(file)
}

/// Reads a regular file of at most `most` bytes.
///
/// # Errors
/// Fails if the file can't be read, isn't a regular file, or is larger.
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    let length = file.metadata()?.len();
    let too_large = || io::Error::other(format!("it has more than {} MB, the limit", most / 1_000_000));
    if length > most {
        return Err(too_large());
    }
    let mut content = Vec::new();
    // The file may grow while it is read.
    file.take(most + 1).read_to_end(&mut content)?;
    if content.len() as u64 > most {
        return Err(too_large());
    }
    Ok(content)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_files_within_the_bound_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, b"12345").unwrap();
        assert_eq!(read(&file, 5).unwrap(), b"12345");
        assert!(read(&file, 4).unwrap_err().to_string().contains("more than"));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link, 5).unwrap(), b"12345");
        assert!(open_unlinked(&file).is_ok());
        assert!(
            open_unlinked(&link)
                .unwrap_err()
                .to_string()
                .contains("symbolic link")
        );
        assert!(open_with(&link, true).is_err());
        let pipe = folder.path().join("pipe");
        let mode = rustix::fs::Mode::RWXU;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for other in [&pipe, folder.path(), Path::new("/dev/zero")] {
            let error = open(other).unwrap_err().to_string();
            assert!(
                error.contains("a pipe or a device"),
                "{}: {error}",
                other.display()
            );
        }
    }
}
