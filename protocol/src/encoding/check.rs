//! Checks of an encoding from outside: every slot that a step reads is there and of its kind, every
//! list has its length, and cost and size are bounded.

use super::{Categories, Column, ENCODING_BYTES, Encoding, Outside, Slots, Step, Unknown, Words, tree};
use crate::{
    decimal::short,
    descriptor::{FEATURES, TEXT_BYTES},
};
use std::collections::HashSet;

/// Maximum number of slots.
const SLOTS: usize = 65_536;
/// Maximum number of steps.
const STEPS: usize = 16_384;
/// Maximum number of slots that all steps together read.
const READS: usize = 1 << 20;
/// Maximum number of words that are counted as one.
const NGRAM: u32 = 8;
/// Maximum number of passes over texts, one for each length of joined words of each step.
const TEXT_PASSES: usize = 32;
/// Maximum degree of splines.
const DEGREE: u32 = 16;
/// Maximum number of words that are left out.
const STOP: usize = 2_000;
/// Allowed numbers: their products and sums stay finite often enough to be of use.
const FINITE: std::ops::RangeInclusive<f64> = -1e300..=1e300;
/// Size of a number in JSON, with a comma.
const NUMBER: usize = 26;
/// Size of a step or a column in JSON without its lists.
const PART: usize = 120;

/// Why an encoding can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodingError {
    /// A column is malformed.
    #[error("column {column} of the encoding {problem}")]
    Column {
        /// Position of the column, from 0.
        column: usize,
        /// Description of the problem.
        problem: &'static str,
    },
    /// A step is malformed.
    #[error("step {step} of the encoding ({name}) {problem}")]
    Step {
        /// Position of the step, from 0.
        step: usize,
        /// Name of the step.
        name: &'static str,
        /// Description of the problem.
        problem: String,
    },
    /// The features are not numbers that the steps give, or not as many as the model takes.
    #[error("the encoding gives {found} features, the model takes {expected}")]
    Features {
        /// Number of features in the encoding.
        found: usize,
        /// Number of features in the descriptor.
        expected: usize,
    },
    /// A feature is not a number.
    #[error("the encoding has no number for feature {0}")]
    NoNumber(usize),
    /// The encoding has too many parts.
    #[error("the encoding has {found} {what}; at most {allowed} are allowed")]
    TooMany {
        /// Kind of part.
        what: &'static str,
        /// Number of parts.
        found: usize,
        /// Allowed number.
        allowed: usize,
    },
}

impl Encoding {
    /// Checks that the encoding can be run, and gives `features` features.
    pub(crate) fn check(&self, features: usize) -> Result<(), EncodingError> {
        at_most("columns", self.columns.len(), *FEATURES.end())?;
        at_most("steps", self.steps.len(), STEPS)?;
        at_most("bytes", self.json_bytes(), ENCODING_BYTES)?;
        self.check_columns()?;
        // Whether each slot so far holds text.
        let mut slots: Vec<bool> = self.columns.iter().map(|column| column.kind.is_text()).collect();
        let (mut reads, mut passes) = (0usize, 0);
        for (index, step) in self.steps.iter().enumerate() {
            let refuse = |problem: String| EncodingError::Step {
                step: index,
                name: step.name(),
                problem,
            };
            // Counted before they are visited: a few bytes of JSON may list many slots.
            reads = reads.saturating_add(step.reads());
            at_most("slots that are read", reads, READS)?;
            let mut problem = step.problem();
            step.visit(|slot, text| {
                if slots.get(slot) != Some(&text) {
                    let kind = if text { "text" } else { "a number" };
                    problem.get_or_insert_with(|| format!("reads slot {slot}, which doesn't hold {kind}"));
                }
            });
            if let Some(problem) = problem {
                return Err(refuse(problem));
            }
            if let Step::Counts { words, .. } | Step::Hashed { words, .. } = step {
                let [least, most] = words.ngrams;
                // Both are between 1 and NGRAM, and in order: that has been checked.
                passes += (most - least) as usize + 1;
            }
            at_most("lengths of joined words in all steps", passes, TEXT_PASSES)?;
            at_most("slots", slots.len().saturating_add(step.results()), SLOTS)?;
            slots.resize(slots.len() + step.results(), false);
        }
        if self.features.len() != features {
            return Err(EncodingError::Features {
                found: self.features.len(),
                expected: features,
            });
        }
        match self
            .features
            .iter()
            .position(|slot| slots.get(slot) != Some(&false))
        {
            Some(feature) => Err(EncodingError::NoNumber(feature)),
            None => Ok(()),
        }
    }

    fn check_columns(&self) -> Result<(), EncodingError> {
        let mut seen = HashSet::new();
        for (index, column) in self.columns.iter().enumerate() {
            let problem = match &column.name {
                Some(name) if name.is_empty() => "has an empty name",
                Some(name) if name.len() > TEXT_BYTES => "has too long a name",
                Some(name) if !seen.insert(name.as_str()) => "has the name of another column",
                _ if column.single && column.kind.is_text() => "is text, which can't be rounded",
                name if name.is_some() != self.columns[0].name.is_some() => {
                    "has a name, or none, unlike the first column"
                }
                _ => continue,
            };
            return Err(EncodingError::Column {
                column: index,
                problem,
            });
        }
        Ok(())
    }

    /// Returns an upper bound on the size as JSON, in bytes.
    pub(crate) fn json_bytes(&self) -> usize {
        let column = |Column { name, .. }: &Column| PART + name.as_deref().map_or(0, quoted_bytes);
        let columns: usize = self.columns.iter().map(column).sum();
        let steps: usize = self.steps.iter().map(Step::json_bytes).sum();
        PART + columns + steps + slots_bytes(&self.features)
    }
}

impl Step {
    /// Returns how many slots the step reads.
    fn reads(&self) -> usize {
        match self {
            Self::Products { of } => of.iter().map(Slots::len).fold(0, usize::saturating_add),
            // Every sum reads all of them.
            Self::Sums { of, weights, .. } => of.len().saturating_mul(weights.len().max(1)),
            Self::Impute { of, .. }
            | Self::Missing { of }
            | Self::Affine { of, .. }
            | Self::Clip { of, .. }
            | Self::Apply { of, .. }
            | Self::Power { of, .. }
            | Self::YeoJohnson { of, .. }
            | Self::Normalise { of, .. } => of.len(),
            Self::Leaves { decisions } => decisions.len(),
            Self::Piecewise { .. }
            | Self::Bins { .. }
            | Self::Thermometer { .. }
            | Self::OneHot { .. }
            | Self::Lookup { .. }
            | Self::Counts { .. }
            | Self::Hashed { .. }
            | Self::Splines { .. } => 1,
        }
    }

    /// Describes what is wrong with the step's own lists and numbers.
    pub fn problem(&self) -> Option<String> {
        let lengths = |of: &Slots, lists: &[&Vec<f64>]| {
            let wrong = lists.iter().find(|list| list.len() != of.len());
            wrong.map(|list| format!("has {} numbers for {} slots", list.len(), of.len()))
        };
        let mismatch = match self {
            Self::Impute { of, values } => lengths(of, &[values]),
            Self::Affine { of, scale, offset } => lengths(of, &[scale, offset]),
            Self::Power { of, exponents } => lengths(of, &[exponents]),
            Self::YeoJohnson { of, lambdas } => lengths(of, &[lambdas]),
            Self::Sums { of, weights, offset } => {
                let wrong = offset.len() != weights.len() || weights.iter().any(|row| row.len() != of.len());
                wrong.then(|| "has rows of another length than its lists".to_owned())
            }
            Self::Products { of } => of
                .iter()
                .any(Slots::is_empty)
                .then(|| "has a product of nothing".to_owned()),
            Self::Clip { min, max, .. } => (min > max).then(|| "has a min above its max".to_owned()),
            Self::Piecewise { x, y, .. } => {
                let rising = x.windows(2).all(|pair| pair[0] < pair[1]);
                (x.is_empty() || x.len() != y.len() || !rising)
                    .then(|| "has points that don't rise, or not as many values".to_owned())
            }
            Self::Bins { edges, .. } | Self::Thermometer { edges, .. } => {
                let rising = edges.windows(2).all(|pair| pair[0] < pair[1]);
                (!rising).then(|| "has edges that don't rise".to_owned())
            }
            Self::Leaves { decisions } => tree::problem(decisions),
            Self::OneHot { categories, .. } => categories.problem(),
            Self::Lookup {
                categories, values, ..
            } => {
                let wrong = categories.len() != values.len();
                wrong
                    .then(|| format!("has {} numbers for {} categories", values.len(), categories.len()))
                    .or_else(|| categories.problem())
            }
            Self::Counts {
                words, vocabulary, ..
            } => repeated(vocabulary.iter().map(String::as_str)).or_else(|| words.problem()),
            Self::Hashed { words, buckets, .. } => (*buckets == 0)
                .then(|| "has no buckets".to_owned())
                .or_else(|| words.problem()),
            Self::Splines {
                knots,
                degree,
                outside,
                ..
            } => {
                let rising = knots.windows(2).all(|pair| pair[0] < pair[1]);
                let wanted = match outside {
                    // As many splines as are joined to those at the other end.
                    Outside::Periodic => 3 * *degree as usize + 1,
                    _ => 2 * *degree as usize + 2,
                };
                if !(1..=DEGREE).contains(degree) {
                    Some(format!("has degree {degree}; 1 to {DEGREE} are allowed"))
                } else if !rising {
                    Some("has knots that don't rise".to_owned())
                } else if knots.len() < wanted {
                    Some(format!("has {} knots; at least {wanted} are needed", knots.len()))
                } else {
                    None
                }
            }
            Self::Missing { .. } | Self::Apply { .. } | Self::Normalise { .. } => None,
        };
        mismatch.or_else(|| {
            let mut wild = None;
            self.numbers(|number| {
                if !FINITE.contains(&number) {
                    wild = Some(number);
                }
            });
            wild.map(|number| format!("has the number {}", short(number)))
        })
    }

    /// Calls `visit` with every number of the step.
    fn numbers(&self, visit: impl FnMut(f64)) {
        let unknown = |unknown: &Unknown| match unknown {
            Unknown::Value(value) => Some(*value),
            Unknown::Refuse => None,
        };
        let categories = |categories: &Categories| match categories {
            Categories::Numbers(numbers) => numbers.clone(),
            Categories::Texts(_) => Vec::new(),
        };
        let numbers: Vec<f64> = match self {
            Self::Impute { values, .. } => values.clone(),
            Self::Affine { scale, offset, .. } => scale.iter().chain(offset).copied().collect(),
            Self::Sums { weights, offset, .. } => weights.iter().flatten().chain(offset).copied().collect(),
            Self::Clip { min, max, .. } => vec![*min, *max],
            Self::Power { exponents, .. } => exponents.clone(),
            Self::YeoJohnson { lambdas, .. } => lambdas.clone(),
            Self::Piecewise { x, y, .. } => x.iter().chain(y).copied().collect(),
            Self::Bins { edges, missing, .. } => edges.iter().chain(missing).copied().collect(),
            Self::Thermometer { edges, .. } => edges.clone(),
            Self::Splines { knots, .. } => knots.clone(),
            Self::Leaves { decisions } => decisions.iter().map(|decision| decision.threshold).collect(),
            Self::OneHot {
                categories: known,
                unknown: other,
                ..
            } => categories(known).into_iter().chain(unknown(other)).collect(),
            Self::Lookup {
                categories: known,
                values,
                unknown: other,
                ..
            } => categories(known)
                .into_iter()
                .chain(values.iter().copied())
                .chain(unknown(other))
                .collect(),
            Self::Missing { .. }
            | Self::Products { .. }
            | Self::Apply { .. }
            | Self::Normalise { .. }
            | Self::Counts { .. }
            | Self::Hashed { .. } => Vec::new(),
        };
        numbers.into_iter().for_each(visit);
    }

    /// Calls `visit` with every text of the step.
    fn texts(&self, visit: impl FnMut(&String)) {
        match self {
            Self::OneHot {
                categories: Categories::Texts(texts),
                ..
            }
            | Self::Lookup {
                categories: Categories::Texts(texts),
                ..
            } => texts.iter().for_each(visit),
            Self::Counts {
                words, vocabulary, ..
            } => vocabulary.iter().chain(&words.stop).for_each(visit),
            Self::Hashed { words, .. } => words.stop.iter().for_each(visit),
            _ => {}
        }
    }

    fn json_bytes(&self) -> usize {
        let mut bytes = PART;
        self.numbers(|_| bytes += NUMBER);
        self.texts(|text| bytes += quoted_bytes(text));
        bytes
            + match self {
                Self::Products { of } => of.iter().map(slots_bytes).sum(),
                // Four whole numbers of up to ten digits and their commas, and brackets.
                Self::Leaves { decisions } => 48 * decisions.len(),
                Self::Impute { of, .. }
                | Self::Missing { of }
                | Self::Affine { of, .. }
                | Self::Sums { of, .. }
                | Self::Clip { of, .. }
                | Self::Apply { of, .. }
                | Self::Power { of, .. }
                | Self::YeoJohnson { of, .. }
                | Self::Normalise { of, .. } => slots_bytes(of),
                _ => 0,
            }
    }
}

impl Categories {
    fn problem(&self) -> Option<String> {
        match self {
            _ if self.is_empty() => Some("has no categories".into()),
            Self::Texts(texts) => repeated(texts.iter().map(String::as_str)),
            Self::Numbers(numbers) => {
                // Both zeros are the same number.
                let bits = |number: &f64| (number + 0.0).to_bits();
                let mut seen = HashSet::new();
                let twice = numbers.iter().find(|number| !seen.insert(bits(number)));
                twice.map(|number| format!("has the category {} twice", short(*number)))
            }
        }
    }
}

impl Words {
    fn problem(&self) -> Option<String> {
        let [least, most] = self.ngrams;
        if self.stop.len() > STOP {
            return Some(format!(
                "leaves out {} words; at most {STOP} are allowed",
                self.stop.len()
            ));
        }
        (!(1..=NGRAM).contains(&most) || least < 1 || least > most)
            .then(|| format!("joins {least} to {most} words; 1 to {NGRAM} are allowed"))
    }
}

fn repeated<'t>(mut texts: impl Iterator<Item = &'t str>) -> Option<String> {
    let mut seen = HashSet::new();
    let twice = texts.find(|text| !seen.insert(*text));
    twice.map(|text| format!("has {:?} twice", text.chars().take(60).collect::<String>()))
}

/// Returns the size of a text in JSON with its quotes and a comma, in bytes.
fn quoted_bytes(text: &str) -> usize {
    crate::descriptor::quoted_bytes(text) + 3
}

fn slots_bytes(slots: &Slots) -> usize {
    /// Two numbers of up to ten digits, brackets and commas.
    const RANGE: usize = 24;
    RANGE * slots.ranges().len() + 4
}

fn at_most(what: &'static str, found: usize, allowed: usize) -> Result<(), EncodingError> {
    if found <= allowed {
        return Ok(());
    }
    Err(EncodingError::TooMany { what, found, allowed })
}
