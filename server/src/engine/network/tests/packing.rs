//! Packing against the phases of what is packed.

use super::*;

/// A GLWE ciphertext with a random mask and a random phase, and the phase's coefficient 0.
fn ciphertext(seed: u8) -> (Vec<u64>, u64) {
    let ciphertext = MaskSeed([seed; 16]).expand(PARAMS.ggsw_rows() * PARAMS.size.0);
    let score = phase(&ciphertext, 0);
    (ciphertext, score)
}

#[test]
fn packing_keeps_every_score_with_the_predicted_noise() {
    let mut ring = Ring::new(PARAMS.size);
    let stride = PARAMS.response_format().stride;
    let mut errors = Vec::new();
    for (round, count) in [1, 2, 3, 7, 8, 9, 10, 15, 16, 16, 16, 16, 16, 16, 16, 16]
        .into_iter()
        .enumerate()
    {
        let (ciphertexts, scores): (Vec<_>, Vec<_>) =
            (0..count).map(|j| ciphertext((round * 16 + j) as u8)).unzip();
        let packed = keys().key.packing.pack(&mut ring, ciphertexts);
        for (j, score) in scores.iter().enumerate() {
            let error = phase(&packed, j * stride).wrapping_sub(*score) as i64 as f64 / 2f64.powi(64);
            assert!(
                error.abs() < 2f64.powi(-13),
                "score {j} of {count}: off by {error}"
            );
            if count == PARAMS.packed_scores() {
                errors.push(error);
            }
        }
    }
    // Scores of one ciphertext share the errors of the upper levels, so 144 samples count for fewer.
    let ratio = ratio(&errors, NetworkNoise::packing(&PARAMS));
    assert!((0.75..1.33).contains(&ratio), "{ratio}");
}

#[test]
fn all_outputs_have_their_place() {
    // 33 outputs: three ciphertexts, the last with one score.
    let mut network = network();
    let reads = network.projections[0].reads[0].clone();
    for projection in &mut network.projections {
        projection.reads = vec![vec![0; reads.len()]; 33];
    }
    network.biases = (0..33).map(|c| f64::from(c) * 2.0 - 32.0).collect();
    let model = descriptor(&network);
    let engine = NetworkEngine::new(PARAMS, &network);
    let response = engine.score(&query(&model, &features(1)), &keys().key).unwrap();
    assert_eq!(response.masks.len(), 3 * PARAMS.output_lwe_dimension().0);
    let scores = keys().client.decrypt(&model, &response.to_blob()).unwrap().scores;
    for (score, bias) in scores.iter().zip(&network.biases) {
        assert!((score - bias).abs() < 0.3, "{score}, not {bias}");
    }
}
