//! From the nodes of a file to trees: branches are followed, and sets of categories are numbered.

use super::{Ensemble, Missing, Test, Tree, TreeNode, Variable, VariableKind};
use crate::{bounds::MOST_SLOTS, quoted};
use blindscore_protocol::{
    descriptor::{Link, Task},
    encoding::{Categories, Column, ColumnKind, Encoding, Step, Unknown},
};
use std::collections::HashMap;

/// A node of a file, whose branches are any other nodes.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A decision.
    Split {
        /// Column that it is about.
        column: usize,
        /// When the first branch is taken.
        decision: Decision,
        /// Places of the branches among the tree's nodes.
        branches: [usize; 2],
    },
    /// A leaf.
    Leaf(Vec<f64>),
}

/// A decision about a column.
#[derive(Clone, Debug)]
pub(crate) enum Decision {
    /// Whether the number is at most the threshold.
    AtMost {
        /// Threshold.
        threshold: f64,
        /// Whether it holds for a missing number.
        missing: bool,
    },
    /// Whether the category is one of these, by their numbers in the file; NaN is a missing one.
    Among(Vec<f64>),
}

/// A column of a file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its name: all columns have one, or none.
    pub(crate) name: Option<String>,
    /// Whether its numbers are rounded to single precision.
    pub(crate) single: bool,
    /// What becomes of a missing number.
    pub(crate) missing: Missing,
    /// Categories by which its cells are replaced by numbers, counted from 0.
    pub(crate) recoded: Option<Recoded>,
}

/// Categories of a column, counted from 0.
#[derive(Clone, Debug)]
pub(crate) struct Recoded {
    /// Categories.
    pub(crate) categories: Categories,
    /// Number of a cell that is none of them, or missing.
    pub(crate) other: f64,
}

/// Trees under construction.
#[derive(Debug, Default)]
pub(crate) struct Grower {
    trees: Vec<(Vec<Part>, Option<usize>)>,
    /// Number of nodes so far.
    nodes: usize,
}

impl Grower {
    /// Adds a tree, whose root is one of the nodes, and returns the number of its nodes: those that
    /// no branch leads to are left out.
    ///
    /// # Errors
    /// If a branch leads to no node, or two lead to one; or if there are too many nodes.
    pub(crate) fn add(
        &mut self,
        mut parts: Vec<Option<Part>>,
        root: usize,
        output: Option<usize>,
    ) -> Result<usize, &'static str> {
        const BROKEN: &str = "a tree's branch leads to no node, or to one that another leads to";
        let mut tree: Vec<Part> = Vec::new();
        // A place in the file, and the branch that leads there.
        let mut open: Vec<(usize, Option<(usize, usize)>)> = vec![(root, None)];
        while let Some((place, from)) = open.pop() {
            let part = parts.get_mut(place).and_then(Option::take).ok_or(BROKEN)?;
            let number = tree.len();
            if let Part::Split {
                branches: [held, not],
                ..
            } = &part
            {
                open.push((*not, Some((number, 1))));
                open.push((*held, Some((number, 0))));
            }
            if let Some((parent, side)) = from
                && let Some(Part::Split { branches, .. }) = tree.get_mut(parent)
            {
                branches[side] = number;
            }
            tree.push(part);
        }
        self.nodes += tree.len();
        if self.nodes > super::MOST_NODES || self.trees.len() >= super::MOST_TREES {
            return Err(super::TOO_LARGE);
        }
        let nodes = tree.len();
        self.trees.push((tree, output));
        Ok(nodes)
    }

    /// Returns the ensemble of the trees about these columns. Columns with names that no tree asks
    /// for are left out.
    ///
    /// # Errors
    /// If a column is asked for as a number and as a category, or is none of these.
    pub(crate) fn finish(
        self,
        sources: Vec<Source>,
        base: Vec<f64>,
        link: Link,
        task: Task,
    ) -> Result<Ensemble, String> {
        let uses = Uses::of(&self.trees, &sources)?;
        let test = |column: usize, decision: Decision| match decision {
            Decision::AtMost { threshold, missing } => Test::AtMost { threshold, missing },
            Decision::Among(set) => {
                let recoded = sources[column].recoded.as_ref();
                let places = &uses.places[&column];
                let mut set: Vec<usize> = set
                    .into_iter()
                    .filter_map(|number| places.get(&bits(number, recoded)).copied())
                    .collect();
                set.sort_unstable();
                set.dedup();
                Test::Among(set)
            }
        };
        let node = |part: Part| match part {
            Part::Leaf(numbers) => TreeNode::Leaf(numbers),
            Part::Split {
                column,
                decision,
                branches,
            } => TreeNode::Split {
                variable: column,
                test: test(column, decision),
                branches,
            },
        };
        let trees = self.trees.into_iter().map(|(parts, output)| Tree {
            nodes: parts.into_iter().map(node).collect(),
            output,
        });
        let trees = trees.collect();
        let columns = sources.iter().enumerate().map(|(column, source)| Variable {
            name: source.name.clone(),
            single: source.single,
            kind: match uses.places.contains_key(&column) {
                true => VariableKind::Category {
                    categories: uses.numbers[&column].clone(),
                },
                false => VariableKind::Number {
                    missing: source.missing,
                },
            },
        });
        Ok(Ensemble {
            columns: columns.collect(),
            encoding: encoding(&sources),
            trees,
            base,
            link,
            task,
            labels: None,
            classes: None,
            unused: Vec::new(),
            answers: Vec::new(),
        })
    }
}

/// What the trees ask for.
struct Uses {
    /// For each column of categories, their numbers, rising.
    numbers: HashMap<usize, Vec<f64>>,
    /// Places of these numbers, by their bits.
    places: HashMap<usize, HashMap<u64, usize>>,
}

impl Uses {
    fn of(trees: &[(Vec<Part>, Option<usize>)], sources: &[Source]) -> Result<Self, String> {
        let name = |column: usize| match &sources[column].name {
            Some(name) => quoted(name),
            None => (column + 1).to_string(),
        };
        let mut compared = vec![false; sources.len()];
        let mut sets: HashMap<usize, HashMap<u64, f64>> = HashMap::new();
        for part in trees.iter().flat_map(|(parts, _)| parts) {
            let Part::Split { column, decision, .. } = part else {
                continue;
            };
            let Some(source) = sources.get(*column) else {
                return Err("a tree decides about a column that there isn't".into());
            };
            match decision {
                Decision::AtMost { .. } => compared[*column] = true,
                Decision::Among(set) => {
                    let known = sets.entry(*column).or_default();
                    for &number in set {
                        let bits = bits(number, source.recoded.as_ref());
                        known.insert(bits, f64::from_bits(bits));
                    }
                    if known.len() > MOST_SLOTS {
                        return Err(format!(
                            "column {} has more than {MOST_SLOTS} categories",
                            name(*column)
                        ));
                    }
                }
            }
        }
        if let Some(column) = sets.keys().copied().find(|&column| compared[column]) {
            return Err(format!(
                "column {} is compared as a number, and as a category",
                name(column)
            ));
        }
        let mut numbers = HashMap::new();
        let mut places = HashMap::new();
        for (column, set) in sets {
            let mut rising: Vec<f64> = set.into_values().collect();
            // NaN is last.
            rising.sort_by(f64::total_cmp);
            let place = |(place, number): (usize, &f64)| (number.to_bits(), place);
            places.insert(column, rising.iter().enumerate().map(place).collect());
            numbers.insert(column, rising);
        }
        Ok(Self { numbers, places })
    }
}

/// Returns the bits of a category's number. All missing ones have the same, or those of their
/// number.
fn bits(number: f64, recoded: Option<&Recoded>) -> u64 {
    match recoded {
        _ if !number.is_nan() => (number + 0.0).to_bits(),
        Some(recoded) => recoded.other.to_bits(),
        None => f64::NAN.to_bits(),
    }
}

/// Returns the public part that replaces categories by their numbers, if there are any.
fn encoding(sources: &[Source]) -> Option<Encoding> {
    if sources.iter().all(|source| source.recoded.is_none()) {
        return None;
    }
    let (mut columns, mut steps, mut features) = (Vec::new(), Vec::new(), Vec::new());
    for (place, source) in sources.iter().enumerate() {
        let Source {
            name,
            single,
            recoded,
            ..
        } = source;
        let is_text = matches!(
            recoded,
            Some(Recoded {
                categories: Categories::Texts(_),
                ..
            })
        );
        columns.push(Column {
            name: name.clone(),
            kind: if is_text {
                ColumnKind::Category
            } else {
                ColumnKind::Number
            },
            single: *single && recoded.is_none(),
        });
        features.push(match recoded {
            None => place,
            Some(recoded) => {
                let count = recoded.categories.len();
                steps.push(Step::Lookup {
                    // There are at most 16,384 columns.
                    of: place as u32,
                    categories: recoded.categories.clone(),
                    values: (0..count).map(|number| number as f64).collect(),
                    unknown: Unknown::Value(recoded.other),
                });
                // Each step has one result.
                sources.len() + steps.len() - 1
            }
        });
    }
    Some(Encoding {
        columns,
        steps,
        features: features.into_iter().collect(),
    })
}
