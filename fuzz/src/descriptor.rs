//! Descriptors and problem documents from a server, read as clients read them.

use crate::samples::{SAMPLES, middle};
use blindscore_client::{Cell, Encoder};
use blindscore_protocol::{
    descriptor::{CheckedDescriptor, ModelDescriptor, ModelPin},
    encoding::{Column, ColumnKind, Encoding, OneHotGroup},
    ids::KeyId,
    problem::Problem,
    wire::{Header, Kind, QueryId},
};

pub(crate) fn run(data: &[u8]) {
    if let Ok(problem) = serde_json::from_slice::<Problem>(data) {
        let _ = problem.code.recovery();
    }
    if let Ok(text) = str::from_utf8(data) {
        let _ = text.parse::<ModelPin>();
        let _ = text.parse::<KeyId>();
    }
    let Ok(descriptor) = serde_json::from_slice::<ModelDescriptor>(data) else {
        return;
    };
    let Ok(model) = CheckedDescriptor::try_from(descriptor) else {
        return;
    };
    let pin = model.pin();
    assert!(
        pin.refusal(&model).is_none(),
        "a model is the one that its own id pins"
    );
    assert_eq!(pin.to_string().parse(), Ok(pin));
    assert_eq!(model.difference(&model), None);
    for sample in SAMPLES.iter() {
        let _ = model.difference(sample.descriptor());
    }
    encode(&model);
    let Some(sample) = SAMPLES
        .iter()
        .find(|sample| sample.model.parameters() == model.parameters())
    else {
        return;
    };
    let outputs = model.outputs.len();
    let sizes = model.blob_sizes();
    // The middle of the ranges may lie outside the input ball.
    let Ok(query) = sample.key.encrypt(&model, &middle(&model.inputs)) else {
        return;
    };
    assert_eq!(query.len(), sizes.query);
    let query = QueryId::of(&query).expect("a query of our own");
    let header = Header {
        kind: Kind::Response,
        params: model.parameters().id(),
        key: sample.key.key_id(),
        model: model.id,
    };
    let empty = header.seal(&[]).len();
    let mut payload = vec![0x5a; sizes.response - empty];
    // The payload's first bytes name another query; even so it is read to its end.
    let _ = sample.key.decrypt(&model, query, &header.seal(&payload));
    payload.fill(0);
    let _ = sample.key.decrypt(&model, query, &header.seal(&payload));
    let scores = blindscore_client::Scores::new(&model, vec![1.0; outputs]);
    assert!(
        scores
            .probabilities
            .iter()
            .all(|p| (-1e-9..=1.0 + 1e-9).contains(p))
    );
}

/// Encodes some records: each has as many features as the model takes, or is refused.
fn encode(model: &CheckedDescriptor) {
    let encoder = Encoder::new(&model.inputs);
    let texts = ["clerk", "great quality, never again", "\u{130}\u{3a3} x_1"];
    for (row, text) in texts.iter().enumerate() {
        let cell = |(column, kind): (usize, &Column)| match (row + column) % 4 {
            0 if encoder.takes_missing(column) => Cell::Missing,
            place if kind.kind == ColumnKind::Flag => Cell::Number((place % 2) as f64),
            place if !kind.kind.is_text() => Cell::Number([0.0, 1.0, -3.0, 1e9][place]),
            _ => Cell::Text((*text).into()),
        };
        let cells: Vec<Cell<'_>> = encoder.columns().iter().enumerate().map(cell).collect();
        let Ok(features) = encoder.encode(&cells) else {
            continue;
        };
        assert_eq!(features.len(), model.inputs.count);
        assert!(features.iter().all(|feature| feature.is_finite()));
        let groups = model.inputs.encoding.iter().flat_map(Encoding::one_hot_groups);
        for OneHotGroup {
            features: of,
            certain,
        } in groups
        {
            let ones = features[of.clone()]
                .iter()
                .filter(|feature| **feature == 1.0)
                .count();
            let zeros = features[of.clone()]
                .iter()
                .filter(|feature| **feature == 0.0)
                .count();
            assert_eq!(ones + zeros, of.len(), "a group has ones and zeros");
            assert!(ones <= 1 && (ones == 1 || !certain), "{ones} ones in a group");
        }
    }
    for feature in 0..model.inputs.count.min(64) {
        let _ = model.inputs.describe(feature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_good() {
        for seed in [
            &include_bytes!("../seeds/descriptor/model.json")[..],
            include_bytes!("../seeds/descriptor/two-classes.json"),
            include_bytes!("../seeds/descriptor/pipeline.json"),
        ] {
            serde_json::from_slice::<CheckedDescriptor>(seed).unwrap();
        }
    }
}
