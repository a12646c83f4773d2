//! Edited blobs of every kind and parameter set with a correct checksum, which stops accidents but
//! not attackers.

use crate::{edit, samples::SAMPLES, samples::Sample};
use arbitrary::{Result, Unstructured};
use blindscore_client::ClientKey;
use blindscore_protocol::{
    params::ParameterSet,
    wire::{EvaluationKey, HEADER_BYTES, Header, Kind, Query, QueryId, Response},
};
use sha2::{Digest, Sha256};

/// Offset of the payload's length in the header.
const LENGTH: usize = 12;
/// Offset of the checksum in the header.
const CHECKSUM: usize = HEADER_BYTES - QueryId::BYTES;

pub(crate) fn run(data: &[u8]) {
    // Inputs that are too short are skipped.
    let _ = read(&mut Unstructured::new(data));
}

fn read(input: &mut Unstructured<'_>) -> Result<()> {
    // Networks are rare, since their keys have 10 to 15 MB.
    let set = [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 4][input.int_in_range(0..=15)?];
    let sample = &SAMPLES[set];
    let kind = input.int_in_range(0..=if set >= 2 { 31 } else { 3 })?;
    let mut blob = match kind {
        0 => sample.public.clone(),
        1 => sample.key.to_bytes().to_vec(),
        kind if kind % 2 == 0 => sample.query.clone(),
        _ => sample.response.clone(),
    };
    let (checksum, length) = (input.ratio(15, 16)?, input.ratio(1, 4)?);
    edit::apply(input, &mut blob);
    if length {
        mend_length(&mut blob);
    }
    if checksum {
        mend_checksum(&mut blob);
    }
    everywhere(&blob, sample);
    Ok(())
}

fn mend_length(blob: &mut [u8]) {
    let length = (blob.len().saturating_sub(HEADER_BYTES) as u64).to_le_bytes();
    if let Some(field) = blob.get_mut(LENGTH..LENGTH + length.len()) {
        field.copy_from_slice(&length);
    }
}

fn mend_checksum(blob: &mut [u8]) {
    if blob.len() >= HEADER_BYTES {
        let digest = Sha256::new()
            .chain_update(&blob[..CHECKSUM])
            .chain_update(&blob[HEADER_BYTES..])
            .finalize();
        blob[CHECKSUM..HEADER_BYTES].copy_from_slice(&digest[..QueryId::BYTES]);
    }
}

/// Passes a blob to every reader, whatever its kind.
fn everywhere(blob: &[u8], sample: &Sample) {
    let linear = matches!(sample.model.parameters(), ParameterSet::Linear(_));
    let _ = Header::kind_of(blob);
    let _ = Header::is_of_earlier_format(blob);
    for kind in [Kind::EvaluationKey, Kind::Query, Kind::Response, Kind::SecretKey] {
        let _ = Header::peek(blob, kind);
    }
    let _ = QueryId::of(blob);
    if let Ok(key) = EvaluationKey::from_blob(blob) {
        assert!(key.to_blob().0 == blob, "a key is written as it was read");
        if linear && key.parameters() == sample.model.parameters() {
            sample.score_with(&key);
        }
    }
    let (set, descriptor) = (sample.model.parameters(), sample.descriptor());
    if let Ok(query) = Query::from_blob(blob, set.query_format(), descriptor.sent_features())
        && linear
    {
        let answer = sample.score(&query);
        Response::from_blob(&answer, set.response_format(), descriptor.outputs.len())
            .expect("a response can be read");
    }
    if let Ok(scores) = sample.decrypt(blob) {
        let numbers = scores.scores.iter().chain(&scores.probabilities);
        assert!(numbers.into_iter().all(|number| number.is_finite()), "{scores:?}");
    }
    if let Ok(key) = ClientKey::from_bytes(blob) {
        assert_eq!(key.to_bytes().len(), blob.len());
    }
}
