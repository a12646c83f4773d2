//! Names of what an encoding computes, for messages.

use super::{Categories, Encoding, Norm, Side, Slots, Step};
use crate::decimal::short;

/// Maximum number of steps that a name tells of.
const DEPTH: usize = 8;
/// Maximum number of slots that a name lists.
const LISTED: usize = 3;
/// Maximum number of characters of a category in a name.
const SHOWN: usize = 40;

impl Encoding {
    /// Describes a feature by the columns and steps that it comes from, such as `job = clerk`.
    pub fn describe(&self, feature: usize) -> String {
        match self.features.iter().nth(feature) {
            Some(slot) => self.slot(slot, 0),
            None => format!("feature {feature}"),
        }
    }

    /// Returns the step that gives a slot, and the slot's place among its results; `None` for a
    /// column.
    pub fn step_of(&self, slot: usize) -> Option<(&Step, usize)> {
        let mut place = slot.checked_sub(self.columns.len())?;
        for step in &self.steps {
            let results = step.results();
            if place < results {
                return Some((step, place));
            }
            place -= results;
        }
        None
    }

    fn slot(&self, slot: usize, depth: usize) -> String {
        if let Some(column) = self.columns.get(slot) {
            return match &column.name {
                Some(name) => short_text(name),
                None => format!("column {}", slot + 1),
            };
        }
        let Some((step, place)) = self.step_of(slot).filter(|_| depth < DEPTH) else {
            return "...".to_owned();
        };
        let one = |of: u32| self.slot(of as usize, depth + 1);
        let nth = |of: &Slots| match of.iter().nth(place) {
            Some(slot) => self.slot(slot, depth + 1),
            None => "...".to_owned(),
        };
        match step {
            Step::Impute { of, .. } => nth(of),
            Step::Missing { of } => format!("{} is missing", nth(of)),
            Step::Affine { of, .. } => format!("{}, scaled", nth(of)),
            Step::Clip { of, .. } => format!("{}, clipped", nth(of)),
            Step::Apply { of, function } => format!("{}({})", function.name(), nth(of)),
            Step::Power { of, exponents } => {
                format!(
                    "{}^{}",
                    nth(of),
                    exponents.get(place).copied().map_or_else(String::new, short)
                )
            }
            Step::YeoJohnson { of, .. } => format!("{}, transformed", nth(of)),
            Step::Normalise { of, norm } => {
                let norm = match norm {
                    Norm::L1 => "sum",
                    Norm::L2 => "length",
                    Norm::Max => "largest",
                };
                format!("{} by the row's {norm}", nth(of))
            }
            Step::Sums { of, .. } => format!("sum {} of {}", place + 1, self.list(of, ", ", depth)),
            Step::Products { of } => match of.get(place) {
                Some(factors) => self.list(factors, " x ", depth),
                None => "...".to_owned(),
            },
            Step::Piecewise { of, .. } => format!("{}, interpolated", one(*of)),
            Step::Bins { of, equal, .. } => {
                let equal = match equal {
                    Side::Above => "",
                    Side::Below => ", edges below",
                };
                format!("bin of {}{equal}", one(*of))
            }
            Step::Thermometer { of, edges, .. } => {
                let edge = edges.get(place).copied().map_or_else(String::new, short);
                format!("{} > {edge}", one(*of))
            }
            Step::OneHot { of, categories, .. } => {
                let category = match categories {
                    Categories::Texts(texts) => texts.get(place).map(|text| short_text(text)),
                    Categories::Numbers(numbers) => numbers.get(place).copied().map(short),
                };
                format!("{} = {}", one(*of), category.unwrap_or_default())
            }
            Step::Leaves { .. } => format!("leaf {} of a tree", place + 1),
            Step::Lookup { of, .. } => format!("number of {}", one(*of)),
            Step::Counts { of, vocabulary, .. } => {
                let word = vocabulary
                    .get(place)
                    .map_or_else(String::new, |word| short_text(word));
                format!("{word} in {}", one(*of))
            }
            Step::Hashed { of, .. } => format!("words in bucket {} of {}", place + 1, one(*of)),
            Step::Splines { of, .. } => format!("spline {} of {}", place + 1, one(*of)),
        }
    }

    fn list(&self, slots: &Slots, separator: &str, depth: usize) -> String {
        let shown: Vec<String> = slots
            .iter()
            .take(LISTED)
            .map(|slot| self.slot(slot, depth + 1))
            .collect();
        let more = if slots.len() > LISTED { "..." } else { "" };
        shown.join(separator) + more
    }
}

fn short_text(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
