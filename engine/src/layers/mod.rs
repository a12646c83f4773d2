//! Scoring of networks of several layers on encrypted features.
//!
//! A *unit* is a function of one number, its pre-activation: an integer sum of features and of
//! units of earlier layers, as a phase on the torus.
//!
//! 1. The features' part is a product with the query, as in projection networks: an LWE ciphertext
//!    under the input secret. The units' part is a sum of their reads under the output secret,
//!    which a key switch returns to the input secret.
//! 2. The phase gets a fresh encryption of zero, and one blind rotation looks up the unit's table.
//!    Where precision asks for it, the phase is rotated several times, with modulus switches whose
//!    errors cancel out (`LweCiphertext::modulus_switch_part`).
//! 3. A unit is read at several coefficients of each rotation. Whoever reads it divides its weight
//!    among these (`slots`), so that the noise of reads averages out too.
//! 4. Scores are integer sums of units, packed and sent as those of projection networks. Of a model
//!    that tells only the label, they are bits, which leave room for noise that drowns all else
//!    ([`crate::bits`]).
//!
//! Tables are functions on half of the torus, continued as in the ring:
//! `f(phase + 1/2) = -f(phase)`.

mod plain;
mod slots;
#[cfg(test)]
mod tests;

use crate::{
    fourier::{FourierContext, Spectrum},
    network::{
        LweCiphertext, NetworkKey,
        output::{Partial, finish},
        query_spectra, rotate_units,
    },
    weights::Weights,
};
use blindscore_protocol::{
    noise::NetworkNoise,
    params::{NetworkParams, TUniformBound},
    random::{EntropyError, Sampler},
    wire::{Query, Response},
};
pub use plain::{Division, Gradient, PlainLayers};
use rayon::prelude::*;
pub use slots::SLOTS;
use slots::{Read, divided};
use std::ops::Range;

/// Most layers of units: four of the model's own, and three that find the label.
pub const MOST_LAYERS: usize = 7;
/// Most units: four layers of 512, and one for each of the most scores.
pub const MOST_UNITS: usize = 3_072;
/// Most times that a unit is rotated.
pub const MOST_REPEATS: usize = 64;

/// A network of several layers, in integers.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerLayers {
    /// Number of features.
    pub features: usize,
    /// Torus element of one unit of a weighted feature.
    pub input_step: u64,
    /// Units, those of earlier layers first.
    pub units: Vec<IntegerUnit>,
    /// For each score that is sent, one weight per unit, the number of slots that are added up.
    pub outputs: Vec<Vec<i32>>,
    /// For each score that is sent, the summand of its phase.
    pub biases: Vec<u64>,
}

/// A unit: a table of one phase.
#[derive(Clone, Debug, PartialEq)]
pub struct IntegerUnit {
    /// Layer, from 0. A unit reads units of earlier layers only.
    pub layer: usize,
    /// One weight per feature; empty if it reads none.
    pub features: Vec<i64>,
    /// One weight per unit of the earlier layers, the number of slots that are added up; empty if
    /// it reads none.
    pub units: Vec<i32>,
    /// Summand of the phase.
    pub offset: u64,
    /// Number of rotations among whose slots weights are divided.
    pub repeats: usize,
    /// The function on half of the torus, in 2^-32 of the torus: entry `i` is its value at the
    /// phase `(i + 1/2) / 2N`.
    pub table: Vec<i32>,
}

/// A network of several layers, transformed for scoring.
pub struct LayersEngine {
    params: NetworkParams,
    features: usize,
    units: Vec<Unit>,
    /// Units of each layer.
    layers: Vec<Range<usize>>,
    /// For each output, one weight per unit.
    outputs: Vec<Vec<i32>>,
    /// For each output, the summand of its phase.
    biases: Vec<u64>,
    /// Noise that is added to what is sent, if there is any.
    flooding: Option<TUniformBound>,
}

struct Unit {
    /// Weights of features, if it reads any.
    features: Option<Weights>,
    /// Weights of the units of earlier layers; empty if it reads none.
    units: Vec<i32>,
    offset: u64,
    repeats: usize,
    test_polynomial: Vec<u64>,
}

impl Unit {
    fn new(params: &NetworkParams, fft: &mut FourierContext, unit: &IntegerUnit) -> Self {
        let value = |value: &i32| (i64::from(*value) as u64) << 32;
        Self {
            features: (!unit.features.is_empty())
                .then(|| Weights::new(fft, params.input_polynomial_size.0, &unit.features)),
            units: unit.units.clone(),
            offset: unit.offset,
            repeats: unit.repeats,
            test_polynomial: unit.table.iter().map(value).collect(),
        }
    }

    /// Returns the LWE ciphertext of the phase under the input secret.
    fn input(
        &self,
        fft: &mut FourierContext,
        query: &[Vec<Spectrum>],
        bodies: &[u64],
        reads: &[Vec<Read>],
        key: &NetworkKey,
    ) -> LweCiphertext {
        let params = key.params();
        let mut input = if self.units.is_empty() {
            LweCiphertext {
                mask: vec![0; params.input_lwe_dimension().0],
                body: 0,
            }
        } else {
            key.switched(fft, &weighted(&params, reads, &self.units))
        };
        input.body = input.body.wrapping_add(self.offset);
        if let Some(weights) = &self.features {
            let product = weights.ciphertext(&params, fft, query, bodies, 0);
            let pairs = input.mask.iter_mut().zip(&product.mask);
            pairs.for_each(|(sum, part)| *sum = sum.wrapping_add(*part));
            input.body = input.body.wrapping_add(product.body);
        }
        input
    }
}

impl LayersEngine {
    /// Transforms weights and tables. [`IntegerLayers::check`] must hold. `flooding` is the noise
    /// that is added to what is sent, if there is any.
    pub fn new(params: NetworkParams, network: &IntegerLayers, flooding: Option<TUniformBound>) -> Self {
        let mut fft = FourierContext::new(params.input_polynomial_size);
        let units = network.units.iter();
        Self {
            params,
            features: network.features,
            units: units.map(|unit| Unit::new(&params, &mut fft, unit)).collect(),
            layers: network.layers(),
            outputs: network.outputs.clone(),
            biases: network.biases.clone(),
            flooding,
        }
    }

    /// Returns the number of blind rotations that a query takes.
    pub fn rotations(&self) -> usize {
        self.units.iter().map(|unit| unit.repeats).sum()
    }

    /// Scores one query, on all threads of the rayon pool it is called on.
    ///
    /// # Errors
    /// If the platform provides no randomness.
    ///
    /// # Panics
    /// If the query has another parameter set, or another number of features, than the model.
    pub fn score(&self, query: &Query, key: &NetworkKey) -> Result<Response, EntropyError> {
        assert_eq!(
            (query.format.set, query.bodies.len()),
            (self.params.id, self.features)
        );
        let mut sampler = Sampler::new()?;
        let spectra = query_spectra(&self.params, query);
        let mut reads: Vec<Vec<Read>> = Vec::with_capacity(self.units.len());
        for layer in &self.layers {
            let read = self.read(layer.clone(), &spectra, &query.bodies, &reads, key)?;
            reads.extend(read);
        }
        let sums = self.outputs.par_iter().map(|weights| {
            let LweCiphertext { mask, body } = weighted(&self.params, &reads, weights);
            self.as_glwe(mask, body)
        });
        let sums = Partial(sums.collect());
        Ok(finish(
            &self.params,
            key,
            &mut sampler,
            query,
            &self.biases,
            vec![sums],
            self.flooding,
        ))
    }

    /// Returns the reads of the units of a layer: for each unit, the sums of its first slots, of
    /// one up to all of them.
    fn read(
        &self,
        layer: Range<usize>,
        query: &[Vec<Spectrum>],
        bodies: &[u64],
        reads: &[Vec<Read>],
        key: &NetworkKey,
    ) -> Result<Vec<Vec<Read>>, EntropyError> {
        let units = &self.units[layer];
        // A context of its own for each unit costs little beside the key switch.
        let inputs = units.par_iter().map(|unit| {
            let mut fft = FourierContext::new(self.params.input_polynomial_size);
            let mut input = unit.input(&mut fft, query, bodies, reads, key);
            key.refresh(&mut fft, &mut Sampler::new()?, &mut input);
            Ok(input)
        });
        let inputs: Vec<LweCiphertext> = inputs.collect::<Result<_, EntropyError>>()?;
        // Unit and number of each rotation.
        let rotated: Vec<(usize, usize)> = units
            .iter()
            .enumerate()
            .flat_map(|(place, unit)| (0..unit.repeats).map(move |part| (place, part)))
            .collect();
        let len = self.params.output_lwe_dimension().0 + self.params.polynomial_size.0;
        let parts = rotate_units(
            key,
            rotated.len(),
            |_, _, rotation| {
                let (place, part) = rotated[rotation];
                inputs[place].modulus_switch_part(&self.params, part, units[place].repeats)
            },
            |rotation| units[rotated[rotation].0].test_polynomial.as_slice(),
            |start, rotations| -> Vec<[Read; SLOTS]> {
                let each = rotations.chunks_exact(len).zip(start..);
                each.map(|(rotation, index)| Read::slots(&self.params, rotation, rotated[index].1))
                    .collect()
            },
        )?;
        let mut parts = parts.into_iter().flatten();
        let sums = |unit: &Unit| {
            let mut slots = [const { Vec::new() }; SLOTS];
            for rotation in parts.by_ref().take(unit.repeats) {
                slots
                    .iter_mut()
                    .zip(rotation)
                    .for_each(|(slot, read)| slot.push(read));
            }
            let mut sums: Vec<Read> = slots.into_iter().flatten().collect();
            for place in 1..sums.len() {
                let (before, rest) = sums.split_at_mut(place);
                rest[0].add(&before[place - 1]);
            }
            sums
        };
        Ok(units.iter().map(sums).collect())
    }

    /// Returns a GLWE ciphertext whose phase has the phase of an LWE ciphertext at coefficient 0.
    /// Its other coefficients are unused.
    fn as_glwe(&self, mask: Vec<u64>, body: u64) -> Vec<u64> {
        let n = self.params.polynomial_size.0;
        let mut ciphertext = Vec::with_capacity(mask.len() + n);
        for polynomial in mask.chunks_exact(n) {
            // The reverse of extraction, which is its own inverse.
            ciphertext.extend(crate::network::extracted(polynomial));
        }
        ciphertext.push(body);
        ciphertext.resize(mask.len() + n, 0);
        ciphertext
    }
}

/// Returns the sum of units times integer weights. `reads` has the sums of each unit's first slots.
fn weighted(params: &NetworkParams, reads: &[Vec<Read>], weights: &[i32]) -> LweCiphertext {
    let terms = reads.iter().zip(weights).flat_map(|(sums, weight)| {
        let (each, more) = divided(*weight, sums.len());
        let all = sums.last().map(|all| (all, each));
        let first = more.unsigned_abs().checked_sub(1);
        let first = first.and_then(|place| Some((sums.get(place as usize)?, more.signum())));
        all.into_iter().chain(first).filter(|(_, weight)| *weight != 0)
    });
    Read::weighted(params, terms)
}

impl IntegerLayers {
    /// Returns the variance of each unit's phase, as a part of the torus squared, that all of its
    /// rotations share: that of the query times the weights, the key switch if it reads units, and
    /// a fresh encryption of zero.
    pub fn shared_noise(&self, params: &NetworkParams) -> Vec<f64> {
        let unit = |unit: &IntegerUnit| {
            let squares = unit.features.iter().map(|weight| (*weight as f64).powi(2));
            let query = NetworkNoise::query(params) * squares.sum::<f64>();
            let switch = if unit.units.is_empty() {
                0.0
            } else {
                NetworkNoise::key_switch(params)
            };
            query + switch + NetworkNoise::input_rerandomisation(params)
        };
        self.units.iter().map(unit).collect()
    }

    fn layers(&self) -> Vec<Range<usize>> {
        let mut layers: Vec<Range<usize>> = Vec::new();
        for (place, unit) in self.units.iter().enumerate() {
            match layers.last_mut() {
                Some(layer) if self.units[layer.start].layer == unit.layer => layer.end = place + 1,
                _ => layers.push(place..place + 1),
            }
        }
        layers
    }

    /// Checks that a file's numbers are a network that can be scored.
    ///
    /// # Errors
    /// The problem in words.
    pub fn check(&self, params: &NetworkParams) -> Result<(), String> {
        let ensure = |holds: bool, problem: &dyn Fn() -> String| if holds { Ok(()) } else { Err(problem()) };
        ensure((1..=MOST_UNITS).contains(&self.units.len()), &|| {
            format!("{} units; 1 to {MOST_UNITS} are allowed", self.units.len())
        })?;
        let mut layer = 0;
        let mut first = 0;
        for (place, unit) in self.units.iter().enumerate() {
            ensure(
                unit.layer == layer || (unit.layer == layer + 1 && place > 0),
                &|| {
                    format!(
                        "unit {place} is of layer {}, after one of layer {layer}",
                        unit.layer
                    )
                },
            )?;
            if unit.layer > layer {
                (layer, first) = (unit.layer, place);
            }
            ensure(layer < MOST_LAYERS, &|| {
                format!("more than {MOST_LAYERS} layers of units")
            })?;
            ensure(
                unit.features.is_empty() || unit.features.len() == self.features,
                &|| {
                    format!(
                        "unit {place} has {} weights for {} features",
                        unit.features.len(),
                        self.features
                    )
                },
            )?;
            ensure(unit.units.is_empty() || unit.units.len() == first, &|| {
                format!(
                    "unit {place} has {} weights for the {first} units of earlier layers",
                    unit.units.len()
                )
            })?;
            ensure((1..=MOST_REPEATS).contains(&unit.repeats), &|| {
                format!(
                    "unit {place} is rotated {} times; 1 to {MOST_REPEATS} are allowed",
                    unit.repeats
                )
            })?;
            ensure(unit.table.len() == params.polynomial_size.0, &|| {
                format!(
                    "unit {place} has a table of {} values, not {}",
                    unit.table.len(),
                    params.polynomial_size.0
                )
            })?;
        }
        ensure(self.biases.len() == self.outputs.len(), &|| {
            format!("{} biases for {} outputs", self.biases.len(), self.outputs.len())
        })?;
        for (output, weights) in self.outputs.iter().enumerate() {
            ensure(weights.len() == self.units.len(), &|| {
                format!(
                    "output {output} has {} weights for {} units",
                    weights.len(),
                    self.units.len()
                )
            })?;
        }
        Ok(())
    }
}
