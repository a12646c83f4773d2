//! Covers: which parts of trees become units.
//!
//! A part is a whole subtree, together with the path to it. Within it, each variable has *classes*:
//! positions that its decisions don't tell apart. The level of a row in the part is the number that
//! has its classes for digits (mixed radix), plus `base`. A row elsewhere is at some lower level, whose
//! value is zero: each variable that has left the path takes the number of the part's levels off, or
//! only as much as the other variables' digits need.
//!
//! The fewest units cover a tree if each part is as large as a unit can hold: a subtree that fits
//! takes one, and needs no others below it.

use super::{Forest, ForestError, ForestNode, ForestTree, ForestVariable, LEVELS, SCORE_SPAN, unit::Unit};
use blindscore_protocol::params::NetworkParams;
use std::collections::{BTreeMap, HashMap};

/// Largest relative difference between sums of leaves that are equal, such as probabilities that were
/// rounded to single precision.
const ROUNDING: f64 = 1e-5;

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

    /// Returns the smallest margin of a unit, in standard deviations of its noise.
    pub fn least_margin(&self, params: &NetworkParams) -> f64 {
        let margins = self.units.iter().map(|unit| unit.margin(params));
        margins.fold(f64::INFINITY, f64::min)
    }

    /// Returns a bound on the chance that noise makes any unit take a wrong level: the sum over the
    /// units of what lies beyond their margins in a normal distribution, of which
    /// `2 phi(x) / x` is an upper bound (Feller, "An Introduction to Probability Theory and Its
    /// Applications", volume 1, VII.1).
    pub fn chance_of_a_wrong_leaf(&self, params: &NetworkParams) -> f64 {
        let beyond =
            |margin: f64| 2.0 * (-margin * margin / 2.0).exp() / (margin * std::f64::consts::TAU.sqrt());
        self.units.iter().map(|unit| beyond(unit.margin(params))).sum()
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

/// A variable within one tree: only the cuts and flags that the tree tells apart.
struct Local {
    variable: usize,
    /// First bit of the variable.
    start: usize,
    /// Number of the variable's cuts.
    all_cuts: usize,
    /// Cuts that the tree uses, rising.
    cuts: Vec<usize>,
    /// Flags that the tree uses, in groups that it never tells apart.
    groups: Vec<Vec<usize>>,
}

impl Local {
    /// Returns the variables of a tree.
    fn of(variables: &[ForestVariable], starts: &[usize], tree: &ForestTree) -> Vec<Self> {
        let mut uses: BTreeMap<usize, Vec<(usize, &[usize])>> = BTreeMap::new();
        for node in &tree.nodes {
            if let ForestNode::Split {
                variable, cut, flags, ..
            } = node
            {
                uses.entry(*variable).or_default().push((*cut, flags));
            }
        }
        let local = uses.into_iter().map(|(variable, splits)| {
            let all_cuts = variables[variable].cuts;
            let cuts = splits.iter().map(|(cut, _)| *cut);
            let mut cuts: Vec<usize> = cuts.filter(|cut| *cut <= all_cuts).collect();
            cuts.sort_unstable();
            cuts.dedup();
            let mut signatures: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (split, (_, flags)) in splits.iter().enumerate() {
                for flag in *flags {
                    signatures.entry(*flag).or_default().push(split);
                }
            }
            let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
            for (flag, signature) in signatures {
                groups.entry(signature).or_default().push(flag);
            }
            Self {
                variable,
                start: starts[variable],
                all_cuts,
                cuts,
                groups: groups.into_values().collect(),
            }
        });
        local.collect()
    }

    /// Returns the number of positions: between cuts, and the groups of flags.
    fn positions(&self) -> usize {
        self.cuts.len() + 1 + self.groups.len()
    }

    /// Returns whether each position takes the second branch of a decision.
    fn second(&self, cut: usize, flags: &[usize]) -> Vec<bool> {
        let passed = self.cuts.iter().map(|own| *own >= cut);
        let grouped = self
            .groups
            .iter()
            .map(|group| flags.binary_search(&group[0]).is_ok());
        [false].into_iter().chain(passed).chain(grouped).collect()
    }

    /// Appends the weights of the bits that give each position its digit, but for that of the lowest
    /// position, which is returned.
    fn weights(&self, digits: &[i64], weights: &mut Vec<(usize, i64)>) -> i64 {
        let (ordered, grouped) = digits.split_at(self.cuts.len() + 1);
        for (pair, cut) in ordered.windows(2).zip(&self.cuts) {
            if pair[0] != pair[1] {
                weights.push((self.start + cut - 1, pair[1] - pair[0]));
            }
        }
        for (digit, group) in grouped.iter().zip(&self.groups) {
            if *digit != ordered[0] {
                let flags = group.iter().map(|flag| self.start + self.all_cuts + flag);
                weights.extend(flags.map(|bit| (bit, digit - ordered[0])));
            }
        }
        ordered[0]
    }
}

/// Positions that lead to a node, for each variable of its tree.
type Region = Vec<Vec<bool>>;

/// A tree without branches that no row takes, and without decisions between equal leaves.
enum Pruned {
    Leaf(Vec<f64>),
    Split {
        /// Position of the variable among the tree's.
        local: usize,
        second: Vec<bool>,
        branches: Box<[Pruned; 2]>,
        leaves: usize,
    },
}

impl Pruned {
    /// Prunes the tree below a node.
    fn of(tree: &ForestTree, local: &[Local], place: usize, region: Region) -> Self {
        match &tree.nodes[place] {
            ForestNode::Leaf(numbers) => Self::Leaf(numbers.clone()),
            ForestNode::Split {
                variable,
                cut,
                flags,
                branches,
            } => {
                let own = local.partition_point(|local| local.variable < *variable);
                let second = local[own].second(*cut, flags);
                match within(&region, own, &second) {
                    [Some(first), Some(other)] => {
                        let [one, two] = [
                            Self::of(tree, local, branches[0], first),
                            Self::of(tree, local, branches[1], other),
                        ];
                        match (&one, &two) {
                            (Self::Leaf(a), Self::Leaf(b)) if a == b => one,
                            _ => Self::Split {
                                local: own,
                                second,
                                leaves: one.leaves() + two.leaves(),
                                branches: Box::new([one, two]),
                            },
                        }
                    }
                    [Some(first), None] => Self::of(tree, local, branches[0], first),
                    [None, other] => Self::of(tree, local, branches[1], other.unwrap_or(region)),
                }
            }
        }
    }

    fn leaves(&self) -> usize {
        match self {
            Self::Leaf(_) => 1,
            Self::Split { leaves, .. } => *leaves,
        }
    }

    /// Calls `visit` with every leaf.
    fn visit(&self, visit: &mut impl FnMut(&[f64])) {
        match self {
            Self::Leaf(numbers) => visit(numbers),
            Self::Split { branches, .. } => branches.iter().for_each(|branch| branch.visit(visit)),
        }
    }

    /// Returns the leaf for one position of each variable.
    fn leaf(&self, positions: &[usize]) -> &[f64] {
        match self {
            Self::Leaf(numbers) => numbers,
            Self::Split {
                local,
                second,
                branches,
                ..
            } => branches[usize::from(second[positions[*local]])].leaf(positions),
        }
    }

    /// Appends the decisions about each variable.
    fn splits<'t>(&'t self, found: &mut BTreeMap<usize, Vec<&'t [bool]>>) {
        if let Self::Split {
            local,
            second,
            branches,
            ..
        } = self
        {
            found.entry(*local).or_default().push(second);
            branches.iter().for_each(|branch| branch.splits(found));
        }
    }
}

/// Returns the parts of a region on both sides of a decision, those that aren't empty.
fn within(region: &Region, own: usize, second: &[bool]) -> [Option<Region>; 2] {
    [false, true].map(|side| {
        let kept = region[own].iter().zip(second);
        let kept: Vec<bool> = kept.map(|(inside, second)| *inside && *second == side).collect();
        kept.contains(&true).then(|| {
            let mut part = region.clone();
            part[own] = kept;
            part
        })
    })
}

/// A number of a tree's leaves that units have in their tables.
struct Answer {
    /// Its place in a leaf.
    place: usize,
    /// Scores that it is added to, or subtracted from if `true`.
    outputs: Vec<(usize, bool)>,
    /// Middle of its values, which the base has instead.
    middle: f64,
}

/// What a tree's leaves are for the scores.
struct Answers(Vec<Answer>);

impl Answers {
    /// Takes the middle of a tree's values into the bases. If the numbers of each leaf have the same
    /// sum, as probabilities do, the first one follows from the others, and needs no units.
    fn of(tree: &Pruned, output: Option<usize>, bases: &mut [f64]) -> Self {
        let spans = spans(tree);
        let middle = |place: usize| {
            let (low, high): (f64, f64) = spans[place];
            low + (high - low) / 2.0
        };
        if let Some(output) = output {
            bases[output] += middle(0);
            return Self(vec![Answer {
                place: 0,
                outputs: vec![(output, false)],
                middle: middle(0),
            }]);
        }
        let implied = common_sum(tree).filter(|_| bases.len() > 1);
        if let Some(sum) = implied {
            bases[0] += sum;
        }
        let answers = (usize::from(implied.is_some())..bases.len()).map(|place| {
            let middle = middle(place);
            bases[place] += middle;
            let mut outputs = vec![(place, false)];
            if implied.is_some() {
                bases[0] -= middle;
                outputs.push((0, true));
            }
            Answer {
                place,
                outputs,
                middle,
            }
        });
        Self(answers.collect())
    }

    /// Widens the range of each score by what a tree adds to it.
    fn widen(&self, tree: &Pruned, ranges: &mut [(f64, f64)]) {
        let mut spans = vec![(f64::INFINITY, f64::NEG_INFINITY); ranges.len()];
        tree.visit(&mut |leaf| {
            let mut values = vec![0.0; ranges.len()];
            for answer in &self.0 {
                for &(output, negated) in &answer.outputs {
                    let value = leaf[answer.place] - answer.middle;
                    values[output] += if negated { -value } else { value };
                }
            }
            for (span, value) in spans.iter_mut().zip(values) {
                *span = (span.0.min(value), span.1.max(value));
            }
        });
        for (range, span) in ranges.iter_mut().zip(spans) {
            *range = (range.0 + span.0, range.1 + span.1);
        }
    }
}

/// Returns the smallest and the largest value of each number of the leaves.
fn spans(tree: &Pruned) -> Vec<(f64, f64)> {
    let mut spans: Vec<(f64, f64)> = Vec::new();
    tree.visit(&mut |leaf| {
        spans.resize(leaf.len(), (f64::INFINITY, f64::NEG_INFINITY));
        for (span, value) in spans.iter_mut().zip(leaf) {
            *span = (span.0.min(*value), span.1.max(*value));
        }
    });
    spans
}

/// Returns the sum of the numbers of a leaf, if all leaves have the same one.
fn common_sum(tree: &Pruned) -> Option<f64> {
    let (mut least, mut most, mut size) = (f64::INFINITY, f64::NEG_INFINITY, 0f64);
    tree.visit(&mut |leaf| {
        let sum: f64 = leaf.iter().sum();
        least = least.min(sum);
        most = most.max(sum);
        size = leaf.iter().fold(size, |size, value| size.max(value.abs()));
    });
    (most - least <= ROUNDING * size).then(|| least + (most - least) / 2.0)
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

    /// Returns the units of a subtree as one part, one for each number of its leaves that has units,
    /// if they are safe.
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
