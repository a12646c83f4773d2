//! Hidden units that are functions of the same weighted sums.

use super::{Node, units::TOO_COMPLICATED};
use crate::{
    ImportError,
    layers::curve::{Curve, Operation},
    onnx::{linear::Linear, value::Units},
};

impl Node<'_> {
    /// Returns lists of units as functions of the same weighted sums; `None` if a column depends on
    /// several.
    pub(super) fn of_one_sum(&self, parts: &[&Units]) -> Result<Option<Vec<Units>>, ImportError> {
        let count = parts.first().map_or(0, |part| part.curves.len());
        let support = parts
            .iter()
            .map(|part| part.linear.support().len())
            .sum::<usize>();
        self.check_weights(parts.len() * count, support)?;
        self.context
            .work
            .take(&[parts.len() * parts.len(), count, support + 8])?;
        let linears: Vec<&Linear> = parts.iter().map(|part| &*part.linear).collect();
        let all = Linear::stacked(&linears);
        // The sums themselves rather than those that were scaled before a function.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|part| !parts[*part].are_sums());
        let mut bases = Vec::with_capacity(count);
        let mut curves: Vec<Vec<Curve>> = vec![Vec::with_capacity(count); parts.len()];
        for place in 0..count {
            let relations = |base: &usize| -> Option<Vec<(f64, f64)>> {
                let to = |part: usize| match part == *base {
                    true => Some((1.0, 0.0)),
                    false => all.relation(base * count + place, part * count + place),
                };
                (0..parts.len()).map(to).collect()
            };
            let found = order.iter().find_map(|base| Some((*base, relations(base)?)));
            let Some((base, relations)) = found else {
                return Ok(None);
            };
            bases.push(base);
            for (part, relation) in relations.into_iter().enumerate() {
                match moved(&parts[part].curves[place], relation) {
                    Some(curve) => curves[part].push(curve),
                    None => return self.refuse_layer(TOO_COMPLICATED),
                }
            }
        }
        let linear = match bases.first() {
            Some(first) if bases.iter().all(|base| base == first) => parts[*first].linear.clone(),
            _ => {
                let places = bases.iter().enumerate();
                let places: Vec<usize> = places.map(|(place, base)| base * count + place).collect();
                all.select(&places).into()
            }
        };
        let units = curves.into_iter().map(|curves| Units {
            linear: linear.clone(),
            curves: curves.into(),
            vector: parts[0].vector,
        });
        Ok(Some(units.collect()))
    }
}

/// Returns a curve of a number times a factor, plus a summand.
fn moved(curve: &Curve, (factor, summand): (f64, f64)) -> Option<Curve> {
    if (factor, summand) == (1.0, 0.0) {
        return Some(curve.clone());
    }
    let number = Curve::number()
        .scaled(factor)?
        .with_constant(Operation::Add, summand)?;
    curve.of(&number)
}
