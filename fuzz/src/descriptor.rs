//! Descriptors and problem documents from a server, read as clients read them.

use crate::samples::{SAMPLES, middle};
use blindscore_protocol::{
    descriptor::{ModelDescriptor, ModelPin, Sizes},
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
    let Ok(set) = descriptor.parse() else {
        return;
    };
    let pin = descriptor.pin();
    assert!(
        pin.refusal(&descriptor).is_none(),
        "a model is the one that its own id pins"
    );
    assert_eq!(pin.to_string().parse(), Ok(pin));
    assert_eq!(descriptor.difference(&descriptor), None);
    for sample in SAMPLES.iter() {
        let _ = descriptor.difference(sample.descriptor());
    }
    let Some(sample) = SAMPLES.iter().find(|sample| sample.model.set() == set) else {
        return;
    };
    let (features, outputs) = (descriptor.inputs.count, descriptor.outputs.len());
    let sizes = Sizes::of(&set, features, outputs);
    // The middle of the ranges may lie outside the input ball.
    let Ok(query) = sample.key.encrypt(&descriptor, &middle(&descriptor.inputs)) else {
        return;
    };
    assert_eq!(query.len(), sizes.query);
    let query = QueryId::of(&query).expect("a query of our own");
    let header = Header {
        kind: Kind::Response,
        params: set.id(),
        key: sample.key.key_id(),
        model: descriptor.id,
    };
    let empty = header.seal(&[]).len();
    let mut payload = vec![0x5a; sizes.response - empty];
    // The payload's first bytes name another query; even so it is read to its end.
    let _ = sample.key.decrypt(&descriptor, query, &header.seal(&payload));
    payload.fill(0);
    let _ = sample.key.decrypt(&descriptor, query, &header.seal(&payload));
    let scores = blindscore_client::Scores::new(&descriptor, vec![1.0; outputs]);
    assert!(
        scores
            .probabilities
            .iter()
            .all(|p| (-1e-9..=1.0 + 1e-9).contains(p))
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_good() {
        for seed in [
            &include_bytes!("../seeds/descriptor/model.json")[..],
            include_bytes!("../seeds/descriptor/two-classes.json"),
        ] {
            let descriptor: ModelDescriptor = serde_json::from_slice(seed).unwrap();
            descriptor.parse().unwrap();
        }
    }
}
