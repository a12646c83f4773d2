//! Decryption of responses.

use crate::{ClientError, ClientKey, Scores};
use blindscore_protocol::{
    descriptor::{Answer, CheckedDescriptor, finer_phase},
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
                Some(fine) => finer_phase(phase(c), phase(count + c), f64::from(fine)),
            };
            let score = output.offset + 2.0 * output.half_range * phase;
            match model.answer {
                Answer::Scores => score,
                // A bit, with noise of a quarter of it.
                Answer::Label => score.signum(),
            }
        });
        Ok(Scores::new(model, scores.collect()))
    }
}
