//! Tensors with data in a file beside the model, as written by PyTorch (ONNX, "External Data").

use crate::onnx::proto::{TensorProto, tensor_proto::DataLocation};
use crate::{
    bounds::{MOST_FILE, megabytes},
    quoted,
};
use blindscore_engine::files;
use std::{
    io::{Read, Seek, SeekFrom},
    path::{Component, Path},
};

/// Returns the tensor, with its data if they are in a file of `folder`. The error describes the
/// problem. `left` is the number of bytes that all further tensors together may have.
pub(super) fn loaded(mut tensor: TensorProto, folder: &Path, left: &mut u64) -> Result<TensorProto, String> {
    if tensor.data_location() != DataLocation::External {
        return Ok(tensor);
    }
    let entry = |key: &str| {
        let entry = tensor.external_data.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str())
    };
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| format!("has {key} {} in its external data", quoted(text))),
    };
    let location = entry("location").ok_or("has external data without a location")?;
    // A model must not make this program read files elsewhere.
    if !matches!(
        Path::new(location).components().collect::<Vec<_>>().as_slice(),
        [Component::Normal(_)]
    ) {
        return Err(format!(
            "has its data in {}, which is not in the model's folder",
            quoted(location)
        ));
    }
    let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
    let path = folder.join(location);
    let failed = |error| format!("has its data in {}: {error}", quoted(location));
    let mut file = files::open_unlinked(&path).map_err(failed)?;
    let rest = file.metadata().map_err(failed)?.len().saturating_sub(offset);
    let length = length.unwrap_or(rest);
    if length > rest {
        return Err(format!(
            "has {length} bytes of data at {offset} of {}, which has {rest} there",
            quoted(location)
        ));
    }
    // Counted every time, because several tensors may share the bytes of one file.
    *left = left.checked_sub(length).ok_or_else(|| {
        format!(
            "has {length} bytes of data, with which the model has more than {}, the limit",
            megabytes(MOST_FILE)
        )
    })?;
    let mut data = Vec::new();
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    file.take(length).read_to_end(&mut data).map_err(failed)?;
    tensor.raw_data = data;
    Ok(tensor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::StringStringEntryProto;

    fn tensor(entries: &[(&str, &str)]) -> TensorProto {
        let entries = entries.iter().map(|(key, value)| StringStringEntryProto {
            key: (*key).into(),
            value: (*value).into(),
        });
        TensorProto {
            data_location: DataLocation::External as i32,
            external_data: entries.collect(),
            ..TensorProto::default()
        }
    }

    #[test]
    fn data_are_read_from_beside_the_model_and_from_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("data"), b"0123456789").unwrap();
        let load = |entries: &[(&str, &str)]| loaded(tensor(entries), folder.path(), &mut 10);
        let whole = load(&[("location", "data")]).unwrap();
        assert_eq!(whole.raw_data, b"0123456789");
        let part = load(&[("location", "data"), ("offset", "2"), ("length", "3")]).unwrap();
        assert_eq!(part.raw_data, b"234");
        for (bad, words) in [
            (&[][..], "without a location"),
            (&[("location", "../data")], "not in the model's folder"),
            (&[("location", "/etc/hostname")], "not in the model's folder"),
            (&[("location", "a/data")], "not in the model's folder"),
            (&[("location", "")], "not in the model's folder"),
            (&[("location", "none")], "none"),
            (
                &[("location", "data"), ("offset", "8"), ("length", "3")],
                "3 bytes",
            ),
            (
                &[("location", "data"), ("offset", "99"), ("length", "1")],
                "1 bytes",
            ),
            (
                &[("location", "data"), ("length", "99999999999999999999")],
                "length",
            ),
            (&[("location", "data"), ("offset", "-1")], "offset"),
        ] {
            let error = load(bad).unwrap_err();
            assert!(error.contains(words), "{bad:?}: {error}");
        }
        let mut left = 19;
        let whole = || tensor(&[("location", "data")]);
        loaded(whole(), folder.path(), &mut left).unwrap();
        let error = loaded(whole(), folder.path(), &mut left).unwrap_err();
        assert!(error.contains("has 10 bytes of data"), "{error}");
    }
}
