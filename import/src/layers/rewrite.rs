//! A network rewritten so that each unit is a table, and all that is linear is read from where it
//! comes from.

use super::{FloatNetwork, curve::Curve, table::FittedTable};
use blindscore_engine::model::{LAYERS, bounds};
use blindscore_protocol::{
    descriptor::{Answer, Inputs},
    noise::NetworkNoise,
};

/// A linear function of features and of tables.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    /// One weight per feature.
    pub(crate) features: Vec<f64>,
    /// One weight per table so far.
    pub(crate) tables: Vec<f64>,
    /// The summand.
    pub(crate) offset: f64,
}

/// A unit: a table of a linear function.
#[derive(Clone, Debug)]
pub(crate) struct TableUnit {
    /// Layer, from 0.
    pub(crate) layer: usize,
    /// The function whose value is the sum.
    pub(crate) sum: Form,
    /// The table.
    pub(crate) table: FittedTable,
    /// The table's values on the calibration rows.
    pub(crate) values: Vec<f64>,
    /// Mean square of its derivative with respect to the phase on these rows.
    pub(crate) steepness: f64,
}

/// A network of tables.
#[derive(Clone, Debug)]
pub(crate) struct Rewritten {
    /// Units, those of earlier layers first.
    pub(crate) units: Vec<TableUnit>,
    /// Scores. If they are sent, they read no features, which are encrypted under another secret.
    pub(crate) outputs: Vec<Form>,
}

impl Form {
    fn new(features: usize) -> Self {
        Self {
            features: vec![0.0; features],
            tables: Vec::new(),
            offset: 0.0,
        }
    }

    /// Adds another form times a factor.
    pub(super) fn add(&mut self, other: &Self, factor: f64) {
        let sum = |to: &mut [f64], from: &[f64]| {
            to.iter_mut()
                .zip(from)
                .for_each(|(to, from)| *to += factor * from);
        };
        sum(&mut self.features, &other.features);
        self.tables.resize(self.tables.len().max(other.tables.len()), 0.0);
        sum(&mut self.tables, &other.tables);
        self.offset += factor * other.offset;
    }

    fn add_table(&mut self, place: usize, weight: f64) {
        self.tables.resize(self.tables.len().max(place + 1), 0.0);
        self.tables[place] += weight;
    }

    /// Returns the value for each row.
    pub(super) fn values(&self, rows: &[&[f64]], units: &[TableUnit]) -> Vec<f64> {
        let mut values: Vec<f64> = rows
            .iter()
            .map(|row| {
                let terms = self.features.iter().zip(*row);
                self.offset + terms.map(|(weight, x)| weight * x).sum::<f64>()
            })
            .collect();
        for (weight, unit) in self
            .tables
            .iter()
            .zip(units)
            .filter(|(weight, _)| **weight != 0.0)
        {
            let each = values.iter_mut().zip(&unit.values);
            each.for_each(|(value, own)| *value += weight * own);
        }
        values
    }
}

impl Rewritten {
    /// Rewrites a network by its sums on some rows. `last` says whether units that only scores read
    /// may have linear parts: each score then needs a unit of its own for what it reads of the
    /// features, unless only the label is sent.
    ///
    /// # Errors
    /// The place of a unit whose function has no finite value in the range of its sums.
    pub(crate) fn of(
        network: &FloatNetwork,
        inputs: &Inputs,
        rows: &[&[f64]],
        last: bool,
        answer: Answer,
    ) -> Result<Self, usize> {
        let features = network.fitted.count();
        let noise = NetworkNoise::modulus_switch(&LAYERS).sqrt();
        let size = LAYERS.polynomial_size.0;
        let mut read_by_units = vec![false; network.units.len()];
        for unit in &network.units {
            unit.units
                .iter()
                .for_each(|(place, _)| read_by_units[*place] = true);
        }
        let mut units: Vec<TableUnit> = Vec::with_capacity(network.units.len());
        // What is linear of each unit beside its table.
        let linear = |form: &mut Form, units: &[TableUnit], place: usize, weight: f64| {
            let TableUnit { sum, table, .. } = &units[place];
            form.add_table(place, weight);
            form.offset += weight * table.offset;
            if table.slope != 0.0 {
                form.add(sum, weight * table.slope);
            }
        };
        for (place, unit) in network.units.iter().enumerate() {
            let mut sum = Form::new(features);
            sum.offset = unit.offset;
            sum.features[..unit.features.len()].copy_from_slice(&unit.features);
            for &(read, weight) in &unit.units {
                linear(&mut sum, &units, read, weight);
            }
            let sums = sum.values(rows, &units);
            let sloped = last || read_by_units[place];
            let reads_features = sum.tables.iter().all(|weight| *weight == 0.0);
            let range = reads_features.then(|| bounds(inputs, &sum.features, sum.offset));
            let table = FittedTable::of(&unit.curve, &sums, noise, size, sloped, range).ok_or(place)?;
            units.push(TableUnit {
                layer: unit.layer,
                values: sums.iter().map(|z| table.value(*z)).collect(),
                steepness: table.steepness(&sums, noise),
                sum,
                table,
            });
        }
        let mut outputs = Vec::with_capacity(network.outputs.len());
        let own = network.fitted.coef.iter().zip(&network.fitted.intercept);
        for ((coef, intercept), weights) in own.zip(&network.outputs) {
            let mut score = Form::new(features);
            score.features[..coef.len()].copy_from_slice(coef);
            score.offset = *intercept;
            for (place, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                linear(&mut score, &units, place, *weight);
            }
            outputs.push(score);
        }
        let mut rewritten = Self { units, outputs };
        if answer.is_scores() {
            rewritten.read_features_through_units(inputs, rows, noise, size)?;
        }
        rewritten.sort();
        Ok(rewritten)
    }

    /// Gives each score a unit for what it reads of the features, which are encrypted under another
    /// secret.
    fn read_features_through_units(
        &mut self,
        inputs: &Inputs,
        rows: &[&[f64]],
        noise: f64,
        size: usize,
    ) -> Result<(), usize> {
        for score in &mut self.outputs {
            if score.features.iter().all(|weight| *weight == 0.0) {
                continue;
            }
            let mut sum = Form::new(score.features.len());
            std::mem::swap(&mut sum.features, &mut score.features);
            let sums = sum.values(rows, &[]);
            let place = self.units.len();
            let range = Some(bounds(inputs, &sum.features, 0.0));
            let table = FittedTable::of(&Curve::number(), &sums, noise, size, false, range).ok_or(place)?;
            score.add_table(place, 1.0);
            score.offset += table.offset;
            self.units.push(TableUnit {
                layer: 0,
                values: sums.iter().map(|z| table.value(*z)).collect(),
                steepness: table.steepness(&sums, noise),
                sum,
                table,
            });
        }
        Ok(())
    }

    /// Puts the units of earlier layers first.
    fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.units.len()).collect();
        order.sort_by_key(|place| self.units[*place].layer);
        let moved = |form: &mut Form| {
            let old = std::mem::take(&mut form.tables);
            form.tables = order
                .iter()
                .map(|place| old.get(*place).copied().unwrap_or(0.0))
                .collect();
        };
        self.outputs.iter_mut().for_each(moved);
        for unit in &mut self.units {
            moved(&mut unit.sum);
        }
        let mut old: Vec<Option<TableUnit>> = std::mem::take(&mut self.units).into_iter().map(Some).collect();
        self.units = order.iter().filter_map(|place| old[*place].take()).collect();
    }

    /// Returns the scores of each row.
    pub(crate) fn scores(&self, rows: &[&[f64]]) -> Vec<Vec<f64>> {
        self.outputs
            .iter()
            .map(|output| output.values(rows, &self.units))
            .collect()
    }
}
