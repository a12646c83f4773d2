//! Blind rotations, in batches: each GGSW ciphertext of the key is loaded once for all of a batch.

use super::NetworkKey;
use blindscore_protocol::params::{NetworkParams, modulus};
use tfhe::core_crypto::{
    algorithms::ModulusSwitchedLweCiphertext,
    commons::computation_buffers::ComputationBuffers,
    fft_impl::fft64::crypto::bootstrap::batch_blind_rotate_assign_scratch,
    prelude::{CiphertextCount, CiphertextModulusLog, Fft, GlweCiphertextList, LweDimension},
};

/// An LWE ciphertext in steps of a rotation: `2^log2 = 2N` of them make the torus.
pub(super) struct Rotation {
    pub(super) mask: Vec<usize>,
    pub(super) body: usize,
    pub(super) log2: u32,
}

impl ModulusSwitchedLweCiphertext<usize> for &Rotation {
    fn log_modulus(&self) -> CiphertextModulusLog {
        CiphertextModulusLog(self.log2 as usize)
    }

    fn lwe_dimension(&self) -> LweDimension {
        LweDimension(self.mask.len())
    }

    fn body(&self) -> usize {
        self.body
    }

    fn mask(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.mask.iter().copied()
    }
}

/// Rotates each test polynomial by its ciphertext's phase. Gives the GLWE ciphertexts one after the other, `(k + 1) N` coefficients each.
pub(super) fn rotate(
    params: &NetworkParams,
    key: &NetworkKey,
    inputs: &[Rotation],
    tests: &[&[u64]],
) -> Vec<u64> {
    let glwe_size = params.dimension.to_glwe_size();
    let mask_len = params.output_lwe_dimension().0;
    let mut accumulators = Vec::with_capacity(inputs.len() * (mask_len + params.size.0));
    for test in tests {
        accumulators.resize(accumulators.len() + mask_len, 0);
        accumulators.extend_from_slice(test);
    }
    let mut list = GlweCiphertextList::from_container(accumulators, glwe_size, params.size, modulus());
    let fft = Fft::new(params.size);
    let mut scratch = ComputationBuffers::new();
    let requirement = batch_blind_rotate_assign_scratch::<u64>(
        glwe_size,
        params.size,
        CiphertextCount(inputs.len()),
        fft.as_view(),
    );
    scratch.resize(requirement.unaligned_bytes_required());
    let inputs: Vec<&Rotation> = inputs.iter().collect();
    key.bootstrap.as_view().batch_blind_rotate_assign(
        list.as_mut_view(),
        &inputs,
        fft.as_view(),
        scratch.stack(),
    );
    list.into_container()
}
