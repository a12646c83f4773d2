//! Limits on the blind rotations of models whose number varies: trees, and networks of several
//! layers.

use super::ModelError;
use blindscore_protocol::descriptor::MAX_QUERIES;

/// Most blind rotations of a query: some twenty seconds of two cores.
pub const MOST_ROTATIONS: usize = 16_384;
/// Most blind rotations of a request, so that its answer doesn't keep a client waiting: some three
/// seconds of two cores.
const ROTATIONS_AT_ONCE: usize = 2_000;

/// Returns the most queries of a request, if they are fewer than usual.
///
/// # Errors
/// If a query takes too many rotations. `name` is the tensor that they follow from, and `advice`
/// what to do about it.
pub(super) fn batch(rotations: usize, name: &'static str, advice: &str) -> Result<Option<usize>, ModelError> {
    if rotations > MOST_ROTATIONS {
        return Err(ModelError::field(
            name,
            format!("take {rotations} blind rotations; at most {MOST_ROTATIONS} are allowed: {advice}"),
        ));
    }
    let most = (ROTATIONS_AT_ONCE / rotations.max(1)).max(1);
    Ok((most < MAX_QUERIES).then_some(most))
}
