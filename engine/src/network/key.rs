//! Evaluation keys of networks and trees, prepared for scoring.

use super::{fresh::InputZeros, key_switch::KeySwitchKey, packing::PackingKey, rotation::BootstrapKey};
use crate::{exact::ExactMultiplier, fourier::FourierContext, network::LweCiphertext};
use blindscore_protocol::{params::NetworkParams, random::Sampler, wire::NetworkEvaluationKey};

/// An evaluation key of networks or trees, with masks expanded and GGSW ciphertexts transformed.
pub struct NetworkKey {
    pub(super) params: NetworkParams,
    pub(super) bootstrap: BootstrapKey,
    pub(super) packing: PackingKey,
    /// `k` encryptions of zero, each with a mask of `k` polynomials and a body.
    pub(super) zeros: Vec<(Vec<ExactMultiplier>, Vec<u64>)>,
    /// Encryptions of zero in the ring of features.
    pub(super) input_zeros: InputZeros,
    /// Key switch between layers, if the set has one.
    pub(super) key_switch: Option<KeySwitchKey>,
}

impl NetworkKey {
    /// Expands the masks and transforms the ciphertexts, in a fraction of a second.
    pub fn new(key: &NetworkEvaluationKey) -> Self {
        let params = key.params;
        let (k, n) = (params.glwe_dimension.0, params.polynomial_size.0);
        let mut masks = key.masks();
        let mut bodies = key.bodies.chunks_exact(n);
        let mut row = |out: &mut [u64]| {
            let (mask, body) = out.split_at_mut(k * n);
            masks.fill(mask);
            // The number of bodies was checked against the parameters when the key was parsed.
            body.copy_from_slice(bodies.next().unwrap_or_default());
        };
        let bootstrap = BootstrapKey::new(params, &mut row);

        let mut fft = FourierContext::new(params.polynomial_size);
        let packing = PackingKey::new(params, &mut fft, &mut row);
        let mut zero = vec![0u64; (k + 1) * n];
        let zeros = (0..k).map(|_| {
            row(&mut zero);
            let (mask, body) = zero.split_at(k * n);
            let mask = mask
                .chunks_exact(n)
                .map(|polynomial| ExactMultiplier::new(&mut fft, polynomial));
            (mask.collect(), body.to_vec())
        });
        let zeros = zeros.collect();
        Self {
            params,
            bootstrap,
            packing,
            zeros,
            input_zeros: InputZeros::new(params, &mut masks, &key.input_zeros),
            key_switch: KeySwitchKey::new(params, &mut masks, &key.key_switch),
        }
    }

    /// Adds a fresh encryption of zero to an LWE ciphertext under the input secret. `fft` is that
    /// of the input ring.
    pub(crate) fn refresh(
        &self,
        fft: &mut FourierContext,
        sampler: &mut Sampler,
        ciphertext: &mut LweCiphertext,
    ) {
        self.input_zeros.add_to(fft, sampler, ciphertext);
    }

    /// Returns an LWE ciphertext under the input secret of what one encrypts under the output
    /// secret.
    ///
    /// # Panics
    /// If the set has no key switch: no model that needs one has such a set.
    pub(crate) fn switched(&self, fft: &mut FourierContext, ciphertext: &LweCiphertext) -> LweCiphertext {
        match &self.key_switch {
            Some(key) => key.apply(fft, ciphertext),
            None => panic!("{} has no key switch", self.params.name),
        }
    }

    /// Rotates test polynomials, as [`BootstrapKey::rotate`] does.
    #[cfg(test)]
    pub(crate) fn rotate(&self, inputs: &[super::ModSwitchedLwe], tests: &[&[u64]]) -> Vec<u64> {
        self.bootstrap.rotate(inputs, tests)
    }

    /// Returns the key's parameters.
    pub fn params(&self) -> NetworkParams {
        self.params
    }

    /// Returns the size of a key in memory, in bytes: `(k+1)^2 N` 8-byte words per input bit, and
    /// little else.
    pub fn memory_bytes(params: NetworkParams) -> usize {
        let (k, n) = (params.glwe_dimension.0, params.polynomial_size.0);
        let packing = params.packing_log2 as usize * k * (k + 1) * n;
        let zeros = k * (2 * k + 1) * n + InputZeros::words(params) + KeySwitchKey::words(params);
        size_of::<Self>() + BootstrapKey::memory_bytes(params) + (packing + zeros) * size_of::<u64>()
    }
}
