//! Covers: which parts of trees become units.
//!
//! A part is a whole subtree, together with the path to it. Within it, each variable has *classes*:
//! positions that its decisions don't tell apart. The level of a row in the part is the number that
//! has its classes for digits (mixed radix), plus `base`. A row elsewhere is at some lower level,
//! whose value is zero: each variable that has left the path takes the number of the part's levels
//! off, or only as much as the other variables' digits need.
//!
//! The fewest units cover a tree if each part is as large as a unit can hold: a subtree that fits
//! takes one, and needs no others below it.

use super::{
    Forest, ForestError, LEVELS, SCORE_SPAN,
    answers::{Answer, Answers},
    local::Local,
    pruned::{Pruned, Region, within},
    unit::Unit,
};
use blindscore_protocol::params::NetworkParams;
use std::collections::{BTreeMap, HashMap};

/// Units of an ensemble.
#[derive(Clone, Debug)]
pub struct Cover {
    /// Units, in the order of the trees.
    pub units: Vec<Unit>,
    /// Base of each score: what it has beside the units' values.
    pub bases: Vec<f64>,
    /// Largest distance of a score from its base.
    pub half_range: f64,
}

impl Cover {
    /// Chooses the units of an ensemble.
    ///
    /// # Errors
    /// If a path decides about more variables than a unit can hold, or no tree decides anything.
    pub fn of(params: &NetworkParams, forest: &Forest) -> Result<Self, ForestError> {
        let mut first = 0;
        let starts = forest.variables().iter().map(|variable| {
            first += variable.bits();
            first - variable.bits()
        });
        let starts: Vec<usize> = starts.collect();
        let mut cover = Self {
            units: Vec::new(),
            bases: forest.bases().to_vec(),
            half_range: 0.0,
        };
        // Units with the same level and scores are one, whose table is the sum.
        let mut known = HashMap::new();
        let mut ranges = vec![(0.0, 0.0); forest.bases().len()];
        for (place, tree) in forest.trees().iter().enumerate() {
            let local = Local::of(forest.variables(), &starts, tree);
            let full: Vec<Vec<bool>> = local.iter().map(|local| vec![true; local.positions()]).collect();
            let pruned = Pruned::of(tree, &local, 0, full.clone());
            let answers = Answers::of(&pruned, tree.output, &mut cover.bases);
            answers.widen(&pruned, &mut ranges);
            let parts = Parts {
                params,
                local: &local,
                answers: &answers,
            };
            let mut found = Vec::new();
            parts
                .cover(&pruned, full, &mut found)
                .map_err(|variables| ForestError::Path {
                    tree: place,
                    variables,
                })?;
            for unit in found {
                let key = (
                    unit.weights.clone(),
                    unit.bias,
                    unit.table.len(),
                    unit.outputs.clone(),
                );
                match known.get(&key) {
                    None => {
                        known.insert(key, cover.units.len());
                        cover.units.push(unit);
                    }
                    Some(&same) => {
                        let table: &mut Vec<f64> = &mut cover.units[same].table;
                        table
                            .iter_mut()
                            .zip(unit.table)
                            .for_each(|(sum, value)| *sum += value);
                    }
                }
            }
        }
        cover.half_range = ranges
            .into_iter()
            .fold(0.0, |most: f64, (low, high): (f64, f64)| most.max(-low).max(high));
        if cover.half_range > 0.0 {
            Ok(cover)
        } else {
            Err(ForestError::Constant)
        }
    }

    /// Returns the torus element of a score of 1.
    pub fn amplitude(&self) -> f64 {
        (SCORE_SPAN * 2f64.powi(64) / self.half_range).floor()
    }

    /// Returns the smallest margin of a unit, in standard deviations of its noise, if values are
    /// read `aside` from the middle, a share of the torus.
    pub fn least_margin(&self, params: &NetworkParams, aside: f64) -> f64 {
        let margins = self.units.iter().map(|unit| unit.margin(params, aside));
        margins.fold(f64::INFINITY, f64::min)
    }

    /// Returns a bound on the chance that noise makes any unit take a wrong level: the sum over the
    /// units of what lies beyond their margins in a normal distribution, of which
    /// `2 phi(x) / x` is an upper bound (Feller, "An Introduction to Probability Theory and Its
    /// Applications", volume 1, VII.1).
    pub fn chance_of_a_wrong_leaf(&self, params: &NetworkParams, aside: f64) -> f64 {
        let beyond =
            |margin: f64| 2.0 * (-margin * margin / 2.0).exp() / (margin * std::f64::consts::TAU.sqrt());
        self.units
            .iter()
            .map(|unit| beyond(unit.margin(params, aside)))
            .sum()
    }

    /// Evaluates the units on bits: what the engine computes, without noise.
    pub fn scores(&self, bits: &[i64]) -> Vec<f64> {
        let mut scores = self.bases.clone();
        for unit in &self.units {
            let value = unit.table[unit.level(bits) as usize];
            for &(output, negated) in &unit.outputs {
                scores[output] += if negated { -value } else { value };
            }
        }
        scores
    }
}

/// Turns parts of one tree into units.
struct Parts<'a> {
    params: &'a NetworkParams,
    local: &'a [Local],
    answers: &'a Answers,
}

impl Parts<'_> {
    /// Appends the units of a subtree.
    ///
    /// # Errors
    /// The number of variables on the path to a leaf that no unit can hold.
    fn cover(&self, tree: &Pruned, region: Region, units: &mut Vec<Unit>) -> Result<(), usize> {
        if let Some(found) = self.units(tree, &region) {
            units.extend(found);
            return Ok(());
        }
        match tree {
            Pruned::Leaf(_) => Err(region.iter().filter(|inside| inside.contains(&false)).count()),
            Pruned::Split {
                local,
                second,
                branches,
                ..
            } => {
                let sides = within(&region, *local, second);
                for (branch, side) in branches.iter().zip(sides) {
                    // Neither side is empty in a pruned tree.
                    self.cover(branch, side.unwrap_or_default(), units)?;
                }
                Ok(())
            }
        }
    }

    /// Returns the units of a subtree as one part, one for each number of its leaves that has
    /// units, if they are safe.
    fn units(&self, tree: &Pruned, region: &Region) -> Option<Vec<Unit>> {
        if tree.leaves() as i64 > LEVELS {
            return None;
        }
        let mut splits = BTreeMap::new();
        tree.splits(&mut splits);
        let mut digits: Vec<Digit> = splits
            .into_iter()
            .map(|(local, splits)| Digit::of(local, &splits, &region[local]))
            .collect();
        // A variable of the path that has the highest digit takes the fewest levels off.
        digits.sort_by_key(|digit| (digit.on_path, digit.classes));
        let mut inner = 1i64;
        for digit in &mut digits {
            digit.stride = inner;
            inner *= digit.classes;
            if inner > LEVELS {
                return None;
            }
        }
        let mut base = 0;
        let mut values: Vec<(usize, Vec<i64>)> = Vec::new();
        for digit in &digits {
            // Enough to be below all levels of the part, whatever the other digits are.
            let off = inner - digit.stride * (digit.classes - 1);
            base += if digit.on_path { off } else { 0 };
            let value = |class: &Option<i64>| class.map_or(-off, |class| class * digit.stride);
            values.push((digit.local, digit.class.iter().map(value).collect()));
        }
        for (local, inside) in region.iter().enumerate() {
            let has_digit = digits.iter().any(|digit| digit.local == local);
            if !has_digit && inside.contains(&false) {
                base += inner;
                let value = |inside: &bool| if *inside { 0 } else { -inner };
                values.push((local, inside.iter().map(value).collect()));
            }
        }
        if base + inner > LEVELS {
            return None;
        }
        let mut weights = Vec::new();
        let mut bias = base;
        for (local, values) in values {
            bias += self.local[local].weights(&values, &mut weights);
        }
        weights.sort_unstable();
        let leaves: Vec<&[f64]> = (0..inner).map(|level| self.leaf(tree, &digits, level)).collect();
        let unit = |answer: &Answer| Unit {
            weights: weights.clone(),
            bias,
            table: (0..base)
                .map(|_| 0.0)
                .chain(leaves.iter().map(|leaf| leaf[answer.place] - answer.middle))
                .collect(),
            outputs: answer.outputs.clone(),
        };
        let units = self.answers.0.iter().map(unit);
        let units: Vec<Unit> = units
            .filter(|unit| unit.table.iter().any(|value| *value != 0.0))
            .collect();
        units
            .iter()
            .all(|unit| unit.is_safe(self.params))
            .then_some(units)
    }

    /// Returns the leaf of a level within a part.
    fn leaf<'t>(&self, tree: &'t Pruned, digits: &[Digit], level: i64) -> &'t [f64] {
        let mut positions = vec![0; self.local.len()];
        for digit in digits {
            let class = level / digit.stride % digit.classes;
            let found = digit.class.iter().position(|found| *found == Some(class));
            // Every class has a position.
            positions[digit.local] = found.unwrap_or(0);
        }
        tree.leaf(&positions)
    }
}

/// Classes of a variable within a part.
struct Digit {
    local: usize,
    /// Number of classes.
    classes: i64,
    /// Class of each position; `None` for those that have left the path.
    class: Vec<Option<i64>>,
    /// Whether the path decides about the variable too.
    on_path: bool,
    /// Levels from one class to the next.
    stride: i64,
}

impl Digit {
    fn of(local: usize, splits: &[&[bool]], inside: &[bool]) -> Self {
        let mut numbers: HashMap<Vec<bool>, i64> = HashMap::new();
        let class = inside.iter().enumerate().map(|(position, inside)| {
            inside.then(|| {
                let signature = splits.iter().map(|second| second[position]).collect();
                let next = numbers.len() as i64;
                *numbers.entry(signature).or_insert(next)
            })
        });
        let class: Vec<Option<i64>> = class.collect();
        Self {
            local,
            classes: numbers.len() as i64,
            on_path: class.contains(&None),
            class,
            stride: 1,
        }
    }
}
