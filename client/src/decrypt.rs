//! Decryption of responses.

use crate::{ClientError, ClientKey, Scores};
use blindscore_protocol::{
    descriptor::CheckedDescriptor,
    polynomial::product_coefficient,
    wire::{QueryId, Response},
};

impl ClientKey {
    /// Decrypts the response of `model` to a query.
    ///
    /// # Errors
    /// If the response is damaged, answers another query, or names another key or another version
    /// of the model. These checks find accidents: a server that deviates can make the holder of any
    /// key decrypt any scores.
    pub fn decrypt(
        &self,
        model: &CheckedDescriptor,
        query: QueryId,
        blob: &[u8],
    ) -> Result<Scores, ClientError> {
        let set = self.check_parameters(model)?;
        let response = Response::from_blob(blob, set.response_format(), model.sent_scores())?;
        if response.key != self.key_id() {
            return Err(ClientError::WrongKey {
                expected: self.key_id(),
                found: response.key,
            });
        }
        if response.model != model.id {
            return Err(ClientError::WrongModel {
                expected: model.id,
                found: response.model,
            });
        }
        if response.query != query {
            return Err(ClientError::WrongQuery);
        }
        let key = self.score_key();
        // Parts of the torus, from -1/2 to 1/2.
        let phase = |c: usize| {
            let (mask, position) = response.place(c);
            let polynomials = mask
                .chunks_exact(key.size.0)
                .zip(key.bits.chunks_exact(key.size.0));
            let phase = polynomials.fold(response.bodies[c], |phase, (mask, secret)| {
                phase.wrapping_sub(product_coefficient(mask, secret, position))
            });
            phase as i64 as f64 / 2f64.powi(64)
        };
        let count = model.outputs.len();
        let scores = model.outputs.iter().enumerate().map(|(c, output)| {
            let phase = match model.fine {
                None => phase(c),
                Some(fine) => refined(phase(c), phase(count + c), f64::from(fine)),
            };
            output.offset + 2.0 * output.half_range * phase
        });
        Ok(Scores::new(model, scores.collect()))
    }
}

/// Returns the phase that is known to the precision of `fine`, which is `factor` times the phase modulo
/// the torus: the one of those that it may stand for that is closest to `coarse`.
fn refined(coarse: f64, fine: f64, factor: f64) -> f64 {
    let turns = (coarse * factor - fine).round();
    (turns + fine) / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_finer_phase_is_used_where_the_coarse_one_says() {
        for phase in [-0.4999, -0.31, -0.0312, 0.0, 0.0156, 0.2, 0.49] {
            let product = phase * 16.0;
            let fine = product - f64::round(product);
            for error in [-0.03, -0.01, 0.0, 0.02, 0.031] {
                let found = refined(phase + error, fine, 16.0);
                assert!((found - phase).abs() < 1e-12, "{phase} off by {error}: {found}");
            }
            // Half of the finer range is too much.
            assert!((refined(phase + 0.035, fine, 16.0) - phase).abs() > 0.06);
        }
    }
}
