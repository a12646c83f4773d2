//! Functions of numbers in encodings.

use serde::Serialize;

/// Function of one number. Where it isn't defined, the row is refused.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Function {
    /// `|x|`
    Abs,
    /// `e^x`
    Exp,
    /// `ln x`
    Log,
    /// `sqrt x`
    Sqrt,
    /// `1 / x`
    Reciprocal,
    /// -1, 0 or 1
    Sign,
    /// The largest whole number at most `x`.
    Floor,
    /// The smallest whole number at least `x`.
    Ceil,
}

impl Function {
    /// Returns the name in descriptors and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Abs => "abs",
            Self::Exp => "exp",
            Self::Log => "log",
            Self::Sqrt => "sqrt",
            Self::Reciprocal => "reciprocal",
            Self::Sign => "sign",
            Self::Floor => "floor",
            Self::Ceil => "ceil",
        }
    }
}

/// Norm that a row is divided by; a row of zeros stays as it is.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Sum of the magnitudes.
    L1,
    /// Euclidean length.
    L2,
    /// Largest magnitude.
    Max,
}

impl Norm {
    /// Returns the name in descriptors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::Max => "max",
        }
    }
}

/// What becomes of a number outside the knots of splines that are in use.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outside {
    /// The row is refused. What is outside by a few roundings to single precision has the values at
    /// the nearest knot in use: the original may have computed it with fewer digits.
    Refuse,
    /// The values at the nearest knot in use.
    Constant,
    /// The values at the nearest knot in use, and from there on straight lines.
    Linear,
    /// The polynomials between the nearest two knots in use.
    Continue,
    /// The values at the number moved by whole periods: the distance from the first to the last
    /// knot in use.
    Periodic,
}

impl Outside {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Refuse,
        Self::Constant,
        Self::Linear,
        Self::Continue,
        Self::Periodic,
    ];

    /// Returns the name in descriptors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Continue => "continue",
            Self::Periodic => "periodic",
        }
    }
}

/// Bin that a number equal to an edge belongs to.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The bin below the edge: the bin's number is how many edges are less than `x`.
    Below,
    /// The bin above the edge: the bin's number is how many edges are at most `x`.
    Above,
}

impl Side {
    /// Returns the name in descriptors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Above => "above",
        }
    }
}
