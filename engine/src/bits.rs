//! Bits, which responses hold where only the label leaves the server.

use blindscore_protocol::params::TUniformBound;

/// Part of the torus that stands for a bit: plus or minus this.
pub const BIT: f64 = 0.25;
/// Noise that is added to bits: at most an eighth of the torus, half of the distance between a bit
/// and the nearest sum that would be read as another.
pub const FLOODING: TUniformBound = TUniformBound::new(61);
