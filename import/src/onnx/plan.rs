//! The public part of a model under construction: the encoding's columns and steps.

use crate::{ImportError, bounds::MOST_SLOTS, quoted};
use blindscore_protocol::encoding::{Column, ColumnKind, Encoding, Slots, Step};
use std::{
    cell::{Ref, RefCell},
    collections::HashMap,
};

/// Number of steps among which a new one is looked for.
const RECENT: usize = 256;

/// Steps so far. Nodes of the graph add to them while it is read.
#[derive(Debug)]
pub(super) struct Plan {
    columns: RefCell<Vec<Column>>,
    steps: RefCell<Vec<Step>>,
    /// First slot of each step's results, and the slot after the last one.
    starts: RefCell<Vec<usize>>,
    /// For each column, whether a step needs its numbers rounded that weren't, and whether one
    /// needs them as they are.
    needs: RefCell<Vec<Needs>>,
}

/// What steps need a column's numbers to be.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    rounded: bool,
    exact: bool,
}

/// What becomes of named columns that nothing reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unused {
    /// Clients aren't asked for them.
    Dropped,
    /// Records have them, as those of the original do.
    Kept,
}

/// A finished encoding.
pub(super) struct Planned {
    /// The encoding; `None` if a record's numbers are the features.
    pub(super) encoding: Option<Encoding>,
    /// Slots of the features, as numbered in the plan, rising.
    pub(super) features: Vec<usize>,
    /// Names of the columns, if they have names.
    pub(super) names: Option<Vec<String>>,
    /// Names of the columns that the features don't depend on.
    pub(super) unused: Vec<String>,
    /// Interval of each feature, as far as it follows from the steps; an end may be infinite.
    pub(super) intervals: Vec<(f64, f64)>,
    /// For each feature, the step that it is one of several like results of, if any: counts of
    /// words, whose ranges are best alike.
    pub(super) groups: Vec<Option<usize>>,
}

impl Plan {
    pub(super) fn new(columns: Vec<Column>) -> Self {
        Self {
            starts: RefCell::new(vec![columns.len()]),
            needs: RefCell::new(vec![Needs::default(); columns.len()]),
            columns: RefCell::new(columns),
            steps: RefCell::new(Vec::new()),
        }
    }

    /// Returns whether a slot is a column's.
    pub(super) fn is_column(&self, slot: usize) -> bool {
        slot < self.columns.borrow().len()
    }

    /// Returns whether the columns are those of one input.
    pub(super) fn is_array(&self) -> bool {
        let columns = self.columns.borrow();
        columns.len() > 1 && columns.iter().all(|column| column.name.is_none())
    }

    /// Makes clients refuse fractions in a column.
    pub(super) fn make_whole(&self, slot: usize) {
        if let Some(column) = self.columns.borrow_mut().get_mut(slot)
            && column.kind == ColumnKind::Number
        {
            column.kind = ColumnKind::Integer;
        }
    }

    /// Makes clients round a column to single precision, if it is one of numbers.
    pub(super) fn make_single(&self, slot: usize) {
        if let Some(column) = self.columns.borrow_mut().get_mut(slot)
            && column.kind == ColumnKind::Number
            && !column.single
        {
            column.single = true;
            self.needs.borrow_mut()[slot].rounded = true;
        }
    }

    /// Notes that a step tells apart numbers of a column that are equal in single precision.
    pub(super) fn keep_exact(&self, slot: usize) {
        if let Some(needs) = self.needs.borrow_mut().get_mut(slot) {
            needs.exact = true;
        }
    }

    /// Returns whether a slot is a column's whose numbers are in single precision.
    pub(super) fn is_single(&self, slot: usize) -> bool {
        self.columns
            .borrow()
            .get(slot)
            .is_some_and(|column| column.single)
    }

    /// Refuses a column that would have to be rounded for one step and not for another.
    pub(super) fn check_rounding(&self) -> Result<(), ImportError> {
        let needs = self.needs.borrow();
        let Some(place) = needs.iter().position(|needs| needs.rounded && needs.exact) else {
            return Ok(());
        };
        let name = self.columns.borrow()[place].name.clone();
        let name = name.map_or_else(|| (place + 1).to_string(), |name| quoted(&name));
        Err(ImportError::Graph(format!(
            "column {name} goes to two steps, and skl2onnx has its numbers in single precision for one of them and in double precision for \
             the other: clients can't do both. Give it to the pipeline twice, as two columns, one for each step"
        )))
    }

    /// Returns the number of slots so far.
    pub(super) fn slots(&self) -> usize {
        self.starts.borrow().last().copied().unwrap_or_default()
    }

    /// Adds a step and returns the slots of its results.
    ///
    /// # Errors
    /// If there are too many.
    pub(super) fn add(&self, step: Step) -> Result<Vec<usize>, ImportError> {
        // The same step twice has the same results.
        let steps = self.steps.borrow();
        let recent = steps.len().saturating_sub(RECENT);
        let known = steps[recent..].iter().rposition(|other| *other == step);
        let known = known.map(|place| recent + place);
        drop(steps);
        let place = match known {
            Some(place) => place,
            None => {
                let end = self.slots().saturating_add(step.results());
                if end > MOST_SLOTS {
                    return Err(ImportError::Graph(format!(
                        "the public part of the model has more than {MOST_SLOTS} numbers, the limit"
                    )));
                }
                self.starts.borrow_mut().push(end);
                self.steps.borrow_mut().push(step);
                self.steps.borrow().len() - 1
            }
        };
        let starts = self.starts.borrow();
        Ok((starts[place]..starts[place + 1]).collect())
    }

    /// Returns the step that gives a slot, and the slot's place among its results; `None` for a
    /// column.
    pub(super) fn step_of(&self, slot: usize) -> Option<(Ref<'_, Step>, usize)> {
        let (place, start) = self.place(slot)?;
        Some((Ref::map(self.steps.borrow(), |steps| &steps[place]), slot - start))
    }

    fn place(&self, slot: usize) -> Option<(usize, usize)> {
        let starts = self.starts.borrow();
        let place = starts.partition_point(|start| *start <= slot).checked_sub(1)?;
        (place + 1 < starts.len()).then(|| (place, starts[place]))
    }

    /// Returns, for each slot, the interval that contains its number, where that follows from the
    /// steps alone. An end may be infinite.
    fn intervals(&self) -> Vec<(f64, f64)> {
        const ANY: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
        let column = |column: &Column| match column.kind {
            ColumnKind::Flag => (0.0, 1.0),
            _ => ANY,
        };
        let mut intervals: Vec<(f64, f64)> = self.columns.borrow().iter().map(column).collect();
        for step in &*self.steps.borrow() {
            let own = step.interval();
            let results: Vec<(f64, f64)> = match step {
                Step::Affine { of, scale, offset } => {
                    let moved = of.iter().zip(scale).zip(offset);
                    moved
                        .map(|((slot, scale), offset)| affine(intervals[slot], *scale, *offset))
                        .collect()
                }
                Step::Products { of } => {
                    let product =
                        |of: &Slots| of.iter().map(|slot| intervals[slot]).fold((1.0, 1.0), product);
                    of.iter()
                        .map(|of| {
                            if is_square(of) {
                                square(intervals[of_first(of)])
                            } else {
                                product(of)
                            }
                        })
                        .collect()
                }
                Step::Normalise { of, .. } => {
                    let least = if of.iter().all(|slot| intervals[slot].0 >= 0.0) {
                        0.0
                    } else {
                        -1.0
                    };
                    vec![(least, 1.0); of.len()]
                }
                Step::Counts { .. } | Step::Hashed { signed: false, .. } if own.is_none() => {
                    vec![(0.0, f64::INFINITY); step.results()]
                }
                _ => vec![own.unwrap_or(ANY); step.results()],
            };
            intervals.extend(results);
        }
        intervals
    }

    /// Returns the encoding that gives the features in `used` slots, which rise, without the steps
    /// that they don't depend on. `named` says whether columns that aren't used can be left out,
    /// because the others are found by their names.
    pub(super) fn finish(self, used: &[usize], named: bool, unused: Unused) -> Planned {
        let drops = named && unused == Unused::Dropped;
        let intervals = self.intervals();
        let (steps, starts) = (self.steps.into_inner(), self.starts.into_inner());
        let all = self.columns.into_inner();
        let mut needed = vec![false; starts.last().copied().unwrap_or_default()];
        for &slot in used {
            needed[slot] = true;
        }
        let mut kept = vec![false; steps.len()];
        for (place, step) in steps.iter().enumerate().rev() {
            kept[place] = (starts[place]..starts[place + 1]).any(|slot| needed[slot]);
            if kept[place] {
                step.visit(|slot, _| needed[slot] = true);
            }
        }
        let count = all.len();
        let columns: Vec<usize> = (0..count).filter(|&column| needed[column] || !drops).collect();
        let names = columns.iter().map(|&column| all[column].name.clone()).collect();
        let unused = (0..count).filter(|&column| drops && !needed[column]);
        let unused = unused.filter_map(|column| all[column].name.clone()).collect();
        let plain = |column: &usize| all[*column].kind == ColumnKind::Number;
        if !kept.contains(&true) && columns.iter().all(plain) {
            return Planned {
                encoding: None,
                intervals: columns.iter().map(|&column| intervals[column]).collect(),
                groups: vec![None; columns.len()],
                features: columns,
                names,
                unused,
            };
        }
        let is_count = |place: &usize| matches!(steps[*place], Step::Counts { .. } | Step::Hashed { .. });
        let counts: Vec<usize> = (0..steps.len()).filter(is_count).collect();
        // New number of each slot that stays.
        let mut renumbered: HashMap<usize, usize> = columns.iter().copied().zip(0..).collect();
        let mut next = columns.len();
        let mut final_steps = Vec::new();
        for (place, mut step) in steps.into_iter().enumerate() {
            if !kept[place] {
                continue;
            }
            renumber(&mut step, &renumbered);
            for slot in starts[place]..starts[place + 1] {
                renumbered.insert(slot, next);
                next += 1;
            }
            final_steps.push(step);
        }
        let text = |step: &Step| match step {
            Step::Counts { of, .. } | Step::Hashed { of, .. } => Some(*of as usize),
            _ => None,
        };
        let texts: Vec<usize> = final_steps.iter().filter_map(text).collect();
        let column = |(place, &column): (usize, &usize)| {
            let mut column = all[column].clone();
            if column.kind == ColumnKind::Category && texts.contains(&place) {
                column.kind = ColumnKind::Text;
            }
            column
        };
        let features = used.to_vec();
        let group = |slot: &usize| {
            let place = starts.partition_point(|start| start <= slot).checked_sub(1)?;
            counts.contains(&place).then_some(place)
        };
        Planned {
            encoding: Some(Encoding {
                columns: columns.iter().enumerate().map(column).collect(),
                steps: final_steps,
                features: features.iter().map(|slot| renumbered[slot]).collect(),
            }),
            intervals: features.iter().map(|&slot| intervals[slot]).collect(),
            groups: features.iter().map(group).collect(),
            features,
            names,
            unused,
        }
    }
}

fn affine((least, most): (f64, f64), scale: f64, offset: f64) -> (f64, f64) {
    if scale == 0.0 {
        return (offset, offset);
    }
    let ends = [least * scale + offset, most * scale + offset];
    (ends[0].min(ends[1]), ends[0].max(ends[1]))
}

fn product(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    // Zero times infinity is zero here: the number itself is finite.
    let times = |a: f64, b: f64| if a == 0.0 || b == 0.0 { 0.0 } else { a * b };
    let ends = [
        times(one.0, other.0),
        times(one.0, other.1),
        times(one.1, other.0),
        times(one.1, other.1),
    ];
    (
        ends.iter().copied().fold(f64::INFINITY, f64::min),
        ends.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    )
}

fn is_square(of: &Slots) -> bool {
    let mut slots = of.iter();
    of.len() == 2 && slots.next() == slots.next()
}

fn of_first(of: &Slots) -> usize {
    of.iter().next().unwrap_or_default()
}

fn square(interval: (f64, f64)) -> (f64, f64) {
    let (least, most) = product(interval, interval);
    (least.max(0.0), most)
}

/// Replaces the slots that a step reads by their new numbers.
fn renumber(step: &mut Step, numbers: &HashMap<usize, usize>) {
    let list = |of: &mut Slots| *of = of.iter().map(|slot| numbers[&slot]).collect();
    // Slots are far fewer than 2^32.
    let one = |of: &mut u32| *of = numbers[&(*of as usize)] as u32;
    match step {
        Step::Impute { of, .. }
        | Step::Missing { of }
        | Step::Affine { of, .. }
        | Step::Sums { of, .. }
        | Step::Clip { of, .. }
        | Step::Apply { of, .. }
        | Step::Power { of, .. }
        | Step::YeoJohnson { of, .. }
        | Step::Normalise { of, .. } => list(of),
        Step::Products { of } => of.iter_mut().for_each(list),
        Step::Piecewise { of, .. }
        | Step::Bins { of, .. }
        | Step::Thermometer { of, .. }
        | Step::OneHot { of, .. }
        | Step::Lookup { of, .. }
        | Step::Counts { of, .. }
        | Step::Hashed { of, .. }
        | Step::Splines { of, .. } => one(of),
        Step::Leaves { decisions } => decisions.iter_mut().for_each(|decision| one(&mut decision.of)),
    }
}
