//! Hidden units of a graph's networks.
//!
//! A unit takes the place of a feature of its own, as trees do: what comes after it is read as a
//! linear model of the units' values.

use super::{
    column::Columns,
    ensemble::FIRST,
    linear::{Form, Linear},
    value::Units,
};
use crate::layers::Curve;
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
    rc::Rc,
};

/// Most units of a graph, those included that outputs turn out not to depend on.
const MOST_UNITS: usize = 8_192;
/// Most weights of all units, those of the largest model.
const MOST_WEIGHTS: usize = 16_384 * 1_000;

/// A unit in the place of a feature.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    /// Slots that it reads, those of earlier units included, and their weights, none of which is
    /// zero.
    pub(super) terms: Vec<(usize, f64)>,
    /// Summand of the weighted sum.
    pub(super) offset: f64,
    pub(super) curve: Curve,
}

/// The units of all nodes so far.
#[derive(Debug)]
pub(super) struct Hidden {
    /// Tensors that linear maps depend on: what is applied to scores there is a hidden layer's.
    inner: HashSet<String>,
    planted: RefCell<Planted>,
}

#[derive(Debug, Default)]
struct Planted {
    units: Vec<Unit>,
    /// Units by the bits of their weights and their offset.
    known: HashMap<Vec<u64>, Vec<usize>>,
    /// Columns that the units were made of.
    sources: Vec<Rc<Columns>>,
    weights: usize,
}

impl Hidden {
    pub(super) fn new(inner: HashSet<String>) -> Self {
        Self {
            inner,
            planted: RefCell::default(),
        }
    }

    /// Returns whether a linear map depends on a tensor.
    pub(super) fn is_inner(&self, tensor: &str) -> bool {
        self.inner.contains(tensor)
    }

    /// Adds units, unless there are equal ones, and returns their values. Factors, summands and
    /// constants stay outside the units.
    ///
    /// # Errors
    /// Words about units that can't be added, to follow the name of an operator.
    pub(super) fn plant(&self, units: &Units) -> Result<Linear, String> {
        let mut planted = self.planted.borrow_mut();
        let mut plain = false;
        let mut forms = Vec::with_capacity(units.curves.len());
        for (place, curve) in units.curves.iter().enumerate() {
            let (factor, curve, summand) = curve.split();
            let slots = units.linear.support().iter().copied();
            let terms = slots.zip(units.linear.coef[place].iter().copied());
            let terms: Vec<(usize, f64)> = terms.filter(|term| term.1 != 0.0).collect();
            let offset = units.linear.intercept[place];
            if !offset.is_finite() || terms.iter().any(|term| !term.1.is_finite()) {
                return Err(" of hidden units with weights that aren't finite".into());
            }
            let form = if terms.is_empty() || curve.as_constant().is_some() {
                Form {
                    terms: Vec::new(),
                    offset: factor * curve.value(offset) + summand,
                }
            } else if curve.is_number() {
                plain = true;
                Form {
                    terms: terms
                        .iter()
                        .map(|(slot, weight)| (*slot, factor * weight))
                        .collect(),
                    offset: factor * offset + summand,
                }
            } else {
                let place = planted.add(Unit { terms, offset, curve })?;
                Form {
                    terms: vec![(FIRST + place, factor)],
                    offset: summand,
                }
            };
            if !form.offset.is_finite() || form.terms.iter().any(|term| !term.1.is_finite()) {
                return Err(" of hidden units with constants that aren't finite".into());
            }
            forms.push(form);
        }
        planted.derive_from(units.linear.sources());
        let sources = if plain {
            units.linear.sources().to_vec()
        } else {
            Vec::new()
        };
        Ok(Linear::of_forms(&forms, sources))
    }

    /// Returns the units, in the order of their slots, and the columns that they were made of.
    pub(super) fn into_units(self) -> (Vec<Unit>, Vec<Rc<Columns>>) {
        let planted = self.planted.into_inner();
        (planted.units, planted.sources)
    }
}

impl Planted {
    /// Returns the index of a unit, which is added unless there is an equal one.
    fn add(&mut self, unit: Unit) -> Result<usize, String> {
        let terms = unit.terms.iter();
        let mut key: Vec<u64> = terms
            .flat_map(|(slot, weight)| [*slot as u64, weight.to_bits()])
            .collect();
        key.push(unit.offset.to_bits());
        let alike = self.known.entry(key).or_default();
        let known = alike.iter().find(|place| self.units[**place].curve == unit.curve);
        if let Some(place) = known {
            return Ok(*place);
        }
        self.weights += unit.terms.len();
        if self.units.len() == MOST_UNITS || self.weights > MOST_WEIGHTS {
            return Err(format!(
                " of more than {MOST_UNITS} hidden units, or of more than {MOST_WEIGHTS} weights"
            ));
        }
        alike.push(self.units.len());
        self.units.push(unit);
        Ok(self.units.len() - 1)
    }

    fn derive_from(&mut self, sources: &[Rc<Columns>]) {
        for source in sources {
            if !self.sources.iter().any(|known| Rc::ptr_eq(known, source)) {
                self.sources.push(source.clone());
            }
        }
    }
}
