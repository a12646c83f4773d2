//! Packing against the phases of its inputs.

use super::*;

/// Returns a GLWE ciphertext with a random mask and phase, and coefficient 0 of the phase.
fn ciphertext(seed: usize) -> (Vec<u64>, u64) {
    let ciphertext = reproducible(
        (seed as u128).to_le_bytes(),
        PARAMS.ggsw_rows() * PARAMS.polynomial_size.0,
    );
    let score = phase(&ciphertext, 0);
    (ciphertext, score)
}

#[test]
fn packing_keeps_every_score_with_the_predicted_noise() {
    let mut fft = FourierContext::new(PARAMS.polynomial_size);
    let stride = PARAMS.response_format().stride;
    let mut errors = Vec::new();
    // Scores of one ciphertext share the errors of upper levels, so a good estimate takes many
    // ciphertexts.
    let counts = [1, 2, 3, 7, 8, 9, 10, 15].into_iter().chain([16; 250]);
    for (round, count) in counts.enumerate() {
        let (ciphertexts, scores): (Vec<_>, Vec<_>) = (0..count).map(|j| ciphertext(round * 16 + j)).unzip();
        let packed = keys().key.packing.pack(&mut fft, ciphertexts);
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
    let ratio = ratio(&errors, NetworkNoise::packing(&PARAMS));
    assert!((ratio - 1.0).abs() < 0.1, "{ratio}");
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
    let scores = keys()
        .client
        .decrypt(&model, response.query, &response.to_blob())
        .unwrap()
        .scores;
    for (score, bias) in scores.iter().zip(&network.biases) {
        assert!((score - bias).abs() < 0.3, "{score}, not {bias}");
    }
}
