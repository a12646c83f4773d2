use crate::engine::{exact::ExactMultiplier, fourier::Ring};
use blindscore_protocol::{
    params::{NetworkParams, modulus},
    wire::NetworkPublicKey,
};
use tfhe::core_crypto::{
    commons::computation_buffers::ComputationBuffers,
    fft_impl::fft64::crypto::{
        bootstrap::FourierLweBootstrapKeyOwned, ggsw::fill_with_forward_fourier_scratch,
    },
    prelude::{DecompositionLevelCount, Fft, FourierLweBootstrapKey, GgswCiphertext},
};

/// A projection network's public key in the form that scoring needs: masks expanded, GGSW ciphertexts transformed.
pub struct NetworkKey {
    pub(super) params: NetworkParams,
    pub(super) bootstrap: FourierLweBootstrapKeyOwned,
    /// `k` encryptions of zero: masks of `k` polynomials each, and a body.
    pub(super) zeros: Vec<(Vec<ExactMultiplier>, Vec<u64>)>,
}

impl NetworkKey {
    /// Expands the masks and transforms them; takes a fraction of a second.
    pub fn new(key: &NetworkPublicKey) -> Self {
        let params = key.params;
        let (k, n) = (params.dimension.0, params.size.0);
        let mut masks = key.seed.stream();
        let mut bodies = key.bodies.chunks_exact(n);
        let mut row = |out: &mut [u64]| {
            let (mask, body) = out.split_at_mut(k * n);
            masks.fill(mask);
            // The key has as many bodies as its parameters say; it was read so.
            body.copy_from_slice(bodies.next().unwrap_or_default());
        };

        let fft = Fft::new(params.size);
        let mut scratch = ComputationBuffers::new();
        scratch.resize(fill_with_forward_fourier_scratch(fft.as_view()).unaligned_bytes_required());
        let mut bootstrap = FourierLweBootstrapKey::new(
            params.input_lwe_dimension(),
            params.dimension.to_glwe_size(),
            params.size,
            params.base_log,
            DecompositionLevelCount(1),
        );
        let mut ggsw = vec![0u64; params.ggsw_rows() * (k + 1) * n];
        for mut transformed in bootstrap.as_mut_view().into_ggsw_iter() {
            ggsw.chunks_exact_mut((k + 1) * n).for_each(&mut row);
            let ggsw = GgswCiphertext::from_container(
                ggsw.as_slice(),
                params.dimension.to_glwe_size(),
                params.size,
                params.base_log,
                modulus(),
            );
            transformed
                .as_mut_view()
                .fill_with_forward_fourier(ggsw, fft.as_view(), scratch.stack());
        }

        let mut ring = Ring::new(params.size);
        let mut zero = vec![0u64; (k + 1) * n];
        let zeros = (0..k).map(|_| {
            row(&mut zero);
            let (mask, body) = zero.split_at(k * n);
            let mask = mask
                .chunks_exact(n)
                .map(|polynomial| ExactMultiplier::new(&mut ring, polynomial));
            (mask.collect(), body.to_vec())
        });
        let zeros = zeros.collect();
        Self {
            params,
            bootstrap,
            zeros,
        }
    }

    /// Parameters of the key.
    pub fn params(&self) -> NetworkParams {
        self.params
    }

    /// Bytes of memory it holds: `(k+1)^2 N` words of 8 bytes for each input bit, and little else.
    pub fn memory_bytes(&self) -> usize {
        let (k, n) = (self.params.dimension.0, self.params.size.0);
        let words = self.params.input_lwe_dimension().0 * (k + 1) * (k + 1) * n + k * (2 * k + 1) * n;
        size_of::<Self>() + words * size_of::<u64>()
    }
}
