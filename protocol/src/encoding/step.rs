//! Steps of an encoding.

use super::{Decision, Function, Norm, Outside, Side, Slots, Words};
use serde::Serialize;

/// Values that a cell is compared with: all texts, or all numbers.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Categories {
    /// Texts, compared exactly.
    Texts(Vec<String>),
    /// Numbers, compared exactly.
    Numbers(Vec<f64>),
}

/// Category of a missing text, if a list has it: pandas and skl2onnx write it so.
pub const MISSING_CATEGORY: &str = "nan";

impl Categories {
    /// Returns the number of categories.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Numbers(numbers) => numbers.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether a missing cell is one of them.
    fn has_missing(&self) -> bool {
        match self {
            Self::Texts(texts) => texts.iter().any(|text| text == MISSING_CATEGORY),
            Self::Numbers(_) => false,
        }
    }
}

/// What becomes of a cell that is none of the categories, or missing.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// The row is refused.
    Refuse,
    /// Every result is this number.
    Value(f64),
}

/// One step. `of` are the slots that it reads, in descriptors called `from` if there is one, and
/// `terms` for products. Steps on numbers give a missing number for a missing
/// one, unless they say otherwise.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Fills in missing numbers.
    Impute {
        /// Numbers.
        of: Slots,
        /// One value for each.
        values: Vec<f64>,
    },
    /// 1 for each missing number, 0 for the others.
    Missing {
        /// Numbers.
        of: Slots,
    },
    /// `x * scale + offset` for each number.
    Affine {
        /// Numbers.
        of: Slots,
        /// One factor for each.
        scale: Vec<f64>,
        /// One summand for each.
        offset: Vec<f64>,
    },
    /// Weighted sums of all the numbers, each plus an offset.
    Sums {
        /// Numbers.
        of: Slots,
        /// One row of weights per sum.
        weights: Vec<Vec<f64>>,
        /// One summand per sum.
        offset: Vec<f64>,
    },
    /// Products of numbers, one for each list of slots, in which a slot may be repeated.
    Products {
        /// Factors of each product.
        #[serde(rename = "terms")]
        of: Vec<Slots>,
    },
    /// Each number, or the nearest one between `min` and `max`.
    Clip {
        /// Numbers.
        of: Slots,
        /// Smallest result.
        min: f64,
        /// Largest result.
        max: f64,
    },
    /// A function of each number.
    Apply {
        /// Numbers.
        of: Slots,
        /// The function.
        function: Function,
    },
    /// Each number to a power.
    Power {
        /// Numbers.
        of: Slots,
        /// Exponent for each.
        exponents: Vec<f64>,
    },
    /// The power transform of Yeo and Johnson ("A New Family of Power Transformations to Improve
    /// Normality or Symmetry", Biometrika 2000, section 2).
    YeoJohnson {
        /// Numbers.
        of: Slots,
        /// The parameter lambda for each.
        lambdas: Vec<f64>,
    },
    /// Linear interpolation between points, and constant beyond them.
    Piecewise {
        /// A number.
        #[serde(rename = "from")]
        of: u32,
        /// Positions of the points, rising.
        x: Vec<f64>,
        /// Values at the points.
        y: Vec<f64>,
    },
    /// Number of the bin that a number lies in, from 0 to the number of edges.
    Bins {
        /// A number.
        #[serde(rename = "from")]
        of: u32,
        /// Edges between the bins, rising.
        edges: Vec<f64>,
        /// Bin of a number equal to an edge.
        equal: Side,
        /// Result for a missing number, if that has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        missing: Option<f64>,
    },
    /// 1 for each edge that a number is above, 0 for the others: a thermometer code, which trees'
    /// decisions are sums of.
    Thermometer {
        /// A number.
        #[serde(rename = "from")]
        of: u32,
        /// Edges, rising. A number equal to one is not above it.
        edges: Vec<f64>,
        /// Whether a missing number is above no edge, rather than without a result.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        missing: bool,
    },
    /// 1 for the category that the cell is, 0 for the others.
    OneHot {
        /// A text or a number.
        #[serde(rename = "from")]
        of: u32,
        /// Categories.
        categories: Categories,
        /// What becomes of other cells.
        unknown: Unknown,
    },
    /// The number that belongs to a category.
    Lookup {
        /// A text or a number.
        #[serde(rename = "from")]
        of: u32,
        /// Categories.
        categories: Categories,
        /// One number for each.
        values: Vec<f64>,
        /// What becomes of other cells.
        unknown: Unknown,
    },
    /// 1 for the leaf of a decision tree that the numbers lead to, 0 for its other leaves. A
    /// decision is a list of five numbers: the slot it reads, a threshold, where a number of at
    /// most that leads, where others lead, and 1 if a missing number leads there too. Decisions are
    /// counted from 0, the root; leaves are -1, -2 and so on.
    Leaves {
        /// Decisions, the root first. There is one more leaf.
        #[cfg_attr(feature = "openapi", schema(value_type = Vec<Vec<f64>>))]
        decisions: Vec<Decision>,
    },
    /// The numbers divided by their norm.
    Normalise {
        /// Numbers.
        of: Slots,
        /// The norm.
        norm: Norm,
    },
    /// How often each word of a vocabulary occurs in a text.
    Counts {
        /// A text.
        #[serde(rename = "from")]
        of: u32,
        /// What counts as a word.
        words: Words,
        /// Words, or several joined by blanks.
        vocabulary: Vec<String>,
        /// Whether a word that occurs counts once.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        binary: bool,
    },
    /// How often words fall into each bucket of a hash: the words of a vocabulary that nobody has
    /// to list ("Feature Hashing for Large Scale Multitask Learning", Weinberger et al., ICML
    /// 2009). The hash is MurmurHash3 (x86, 32 bits, seed 0) of a word's UTF-8, a signed number;
    /// the bucket is its magnitude modulo the number of buckets.
    Hashed {
        /// A text.
        #[serde(rename = "from")]
        of: u32,
        /// What counts as a word.
        words: Words,
        /// Number of buckets.
        buckets: u32,
        /// Whether words with a negative hash count as minus one, which makes collisions cancel out
        /// on average.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        signed: bool,
        /// Whether a bucket with a word in it counts once, and without a sign.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        binary: bool,
    },
    /// The values of B-splines at a number, which add up to one between the first and the last knot
    /// in use (de Boor, "A Practical Guide to Splines", chapter IX). With `K` knots and degree `d`
    /// there are `K - d - 1` of them, and the knots in use are those from `d` to `K - d - 1`,
    /// counted from
    /// 0. Periodic splines are `d` fewer: the last `d` are the first ones again.
    Splines {
        /// A number.
        #[serde(rename = "from")]
        of: u32,
        /// Knots, rising.
        knots: Vec<f64>,
        /// Degree of the polynomials.
        degree: u32,
        /// What becomes of a number outside the knots in use.
        outside: Outside,
        /// Whether all splines of a missing number are 0, rather than without a result.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        missing: bool,
    },
}

/// Returns the number of splines of a degree over some knots; 0 if there are too few knots.
fn splines(knots: &[f64], degree: u32, outside: Outside) -> usize {
    let degree = degree as usize;
    let all = knots.len().saturating_sub(degree.saturating_add(1));
    match outside {
        Outside::Periodic => all.saturating_sub(degree),
        _ => all,
    }
}

impl Step {
    /// Returns the step's name in descriptors and messages.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Impute { .. } => "impute",
            Self::Missing { .. } => "missing",
            Self::Affine { .. } => "affine",
            Self::Sums { .. } => "sums",
            Self::Products { .. } => "products",
            Self::Clip { .. } => "clip",
            Self::Apply { .. } => "apply",
            Self::Power { .. } => "power",
            Self::YeoJohnson { .. } => "yeo-johnson",
            Self::Piecewise { .. } => "piecewise",
            Self::Bins { .. } => "bins",
            Self::Thermometer { .. } => "thermometer",
            Self::OneHot { .. } => "one-hot",
            Self::Lookup { .. } => "lookup",
            Self::Leaves { .. } => "leaves",
            Self::Normalise { .. } => "normalise",
            Self::Counts { .. } => "counts",
            Self::Hashed { .. } => "hashed",
            Self::Splines { .. } => "splines",
        }
    }

    /// Returns the number of results, each of which takes a slot.
    pub fn results(&self) -> usize {
        match self {
            Self::Impute { of, .. }
            | Self::Missing { of }
            | Self::Affine { of, .. }
            | Self::Clip { of, .. }
            | Self::Apply { of, .. }
            | Self::Power { of, .. }
            | Self::YeoJohnson { of, .. }
            | Self::Normalise { of, .. } => of.len(),
            Self::Sums { weights, .. } => weights.len(),
            Self::Products { of } => of.len(),
            Self::Piecewise { .. } | Self::Bins { .. } | Self::Lookup { .. } => 1,
            Self::Thermometer { edges, .. } => edges.len(),
            Self::Leaves { decisions } => decisions.len() + 1,
            Self::OneHot { categories, .. } => categories.len(),
            Self::Counts { vocabulary, .. } => vocabulary.len(),
            Self::Hashed { buckets, .. } => *buckets as usize,
            Self::Splines {
                knots,
                degree,
                outside,
                ..
            } => splines(knots, *degree, *outside),
        }
    }

    /// Returns whether the step gives numbers for missing cells.
    pub fn takes_missing(&self) -> bool {
        match self {
            Self::Impute { .. } | Self::Missing { .. } | Self::Leaves { .. } => true,
            Self::Bins { missing, .. } => missing.is_some(),
            Self::Thermometer { missing, .. } | Self::Splines { missing, .. } => *missing,
            Self::OneHot {
                unknown, categories, ..
            }
            | Self::Lookup {
                unknown, categories, ..
            } => matches!(unknown, Unknown::Value(_)) || categories.has_missing(),
            _ => false,
        }
    }

    /// Returns the interval that contains every result, if it follows from the step alone.
    pub fn interval(&self) -> Option<(f64, f64)> {
        match self {
            Self::Missing { .. } | Self::Thermometer { .. } | Self::Leaves { .. } => Some((0.0, 1.0)),
            Self::OneHot { unknown, .. } => match unknown {
                Unknown::Value(value) => Some((value.min(0.0), value.max(1.0))),
                Unknown::Refuse => Some((0.0, 1.0)),
            },
            Self::Counts { binary: true, .. } | Self::Hashed { binary: true, .. } => Some((0.0, 1.0)),
            Self::Splines { outside, .. } => match outside {
                Outside::Refuse | Outside::Constant | Outside::Periodic => Some((0.0, 1.0)),
                Outside::Linear | Outside::Continue => None,
            },
            Self::Normalise { .. } => Some((-1.0, 1.0)),
            Self::Clip { min, max, .. } => Some((*min, *max)),
            Self::Bins { edges, missing, .. } => {
                let top = edges.len() as f64;
                let other = missing.unwrap_or(0.0);
                Some((other.min(0.0), other.max(top)))
            }
            Self::Piecewise { y, .. } => span(y.iter().copied()),
            Self::Lookup { values, unknown, .. } => {
                let other = match unknown {
                    Unknown::Value(value) => Some(*value),
                    Unknown::Refuse => None,
                };
                span(values.iter().copied().chain(other))
            }
            _ => None,
        }
    }

    /// Calls `visit` with every slot that the step reads, and whether it reads text there.
    pub fn visit(&self, mut visit: impl FnMut(usize, bool)) {
        match self {
            Self::Impute { of, .. }
            | Self::Missing { of }
            | Self::Affine { of, .. }
            | Self::Sums { of, .. }
            | Self::Clip { of, .. }
            | Self::Apply { of, .. }
            | Self::Power { of, .. }
            | Self::YeoJohnson { of, .. }
            | Self::Normalise { of, .. } => of.iter().for_each(|slot| visit(slot, false)),
            Self::Products { of } => of
                .iter()
                .flat_map(Slots::iter)
                .for_each(|slot| visit(slot, false)),
            Self::Piecewise { of, .. }
            | Self::Bins { of, .. }
            | Self::Thermometer { of, .. }
            | Self::Splines { of, .. } => visit(*of as usize, false),
            Self::OneHot { of, categories, .. } | Self::Lookup { of, categories, .. } => {
                visit(*of as usize, matches!(categories, Categories::Texts(_)));
            }
            Self::Leaves { decisions } => {
                decisions
                    .iter()
                    .for_each(|decision| visit(decision.of as usize, false));
            }
            Self::Counts { of, .. } | Self::Hashed { of, .. } => visit(*of as usize, true),
        }
    }
}

/// Returns the least and the largest of some numbers.
fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |span, value| match span {
        None => Some((value, value)),
        Some((least, largest)) => Some((least.min(value), largest.max(value))),
    })
}
