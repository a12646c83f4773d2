//! Blind rotations against tfhe's.

use super::*;
use tfhe::core_crypto::{
    algorithms::ModulusSwitchedLweCiphertext,
    commons::computation_buffers::ComputationBuffers,
    fft_impl::fft64::crypto::{
        bootstrap::{FourierLweBootstrapKeyOwned, batch_blind_rotate_assign_scratch},
        ggsw::fill_with_forward_fourier_scratch,
    },
    prelude::*,
};

impl ModulusSwitchedLweCiphertext<usize> for &ModSwitchedLwe {
    fn log_modulus(&self) -> CiphertextModulusLog {
        CiphertextModulusLog(PARAMS.rotation_log2() as usize)
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

/// Converts the evaluation key to tfhe's type.
fn tfhe_key(public: &NetworkEvaluationKey) -> FourierLweBootstrapKeyOwned {
    let (k, n) = (PARAMS.glwe_dimension.0, PARAMS.polynomial_size.0);
    let glwe_size = PARAMS.glwe_dimension.to_glwe_size();
    let mut key = FourierLweBootstrapKey::new(
        PARAMS.input_lwe_dimension(),
        glwe_size,
        PARAMS.polynomial_size,
        PARAMS.base_log,
        DecompositionLevelCount(1),
    );
    let fft = Fft::new(PARAMS.polynomial_size);
    let mut scratch = ComputationBuffers::new();
    scratch.resize(fill_with_forward_fourier_scratch(fft.as_view()).unaligned_bytes_required());
    let mut masks = public.masks();
    let mut bodies = public.bodies.chunks_exact(n);
    for mut transformed in key.as_mut_view().into_ggsw_iter() {
        let mut ggsw = vec![0u64; PARAMS.ggsw_rows() * (k + 1) * n];
        for row in ggsw.chunks_exact_mut((k + 1) * n) {
            masks.fill(&mut row[..k * n]);
            row[k * n..].copy_from_slice(bodies.next().unwrap());
        }
        let ggsw = GgswCiphertext::from_container(
            ggsw.as_slice(),
            glwe_size,
            PARAMS.polynomial_size,
            PARAMS.base_log,
            CiphertextModulus::new_native(),
        );
        transformed
            .as_mut_view()
            .fill_with_forward_fourier(ggsw, fft.as_view(), scratch.stack());
    }
    key
}

fn tfhe_rotate(key: &FourierLweBootstrapKeyOwned, inputs: &[ModSwitchedLwe], test: &[u64]) -> Vec<u64> {
    let mut accumulators = Vec::new();
    for _ in inputs {
        accumulators.resize(accumulators.len() + PARAMS.output_lwe_dimension().0, 0);
        accumulators.extend_from_slice(test);
    }
    let glwe_size = PARAMS.glwe_dimension.to_glwe_size();
    let mut list = GlweCiphertextList::from_container(
        accumulators,
        glwe_size,
        PARAMS.polynomial_size,
        CiphertextModulus::new_native(),
    );
    let fft = Fft::new(PARAMS.polynomial_size);
    let mut scratch = ComputationBuffers::new();
    let count = CiphertextCount(inputs.len());
    let need =
        batch_blind_rotate_assign_scratch::<u64>(glwe_size, PARAMS.polynomial_size, count, fft.as_view());
    scratch.resize(need.unaligned_bytes_required());
    let inputs: Vec<&ModSwitchedLwe> = inputs.iter().collect();
    key.as_view()
        .batch_blind_rotate_assign(list.as_mut_view(), &inputs, fft.as_view(), scratch.stack());
    list.into_container()
}

#[test]
fn external_products_are_tfhes() {
    let key = tfhe_key(&keys().public);
    let test: Vec<u64> = reproducible([3; 16], PARAMS.polynomial_size.0);
    // With a single mask coefficient, a rotation is one external product, and both implementations
    // decompose the same numbers. There are more inputs than fit one batch, and the last group is
    // not full.
    let inputs: Vec<ModSwitchedLwe> = (0..70)
        .map(|index| {
            let mut mask = vec![0; PARAMS.input_lwe_dimension().0];
            mask[index * 10 % 704] = [1, 77, 511, 512, 513, 1023, 0][index % 7];
            ModSwitchedLwe {
                mask,
                body: index * 15 % 1024,
            }
        })
        .collect();
    let tests = vec![test.as_slice(); inputs.len()];
    let ours = keys().key.bootstrap.rotate(&inputs, &tests);
    let theirs = tfhe_rotate(&key, &inputs, &test);
    let distance = |(a, b): (&u64, &u64)| a.wrapping_sub(*b) as i64;
    let largest = ours
        .iter()
        .zip(&theirs)
        .map(distance)
        .map(i64::unsigned_abs)
        .max()
        .unwrap();
    // Rounding errors of the transforms: 53 bits, for sums of 2^26 times the torus.
    println!("largest distance: 2^{:.1}", (largest as f64).log2() - 64.0);
    assert!((largest as f64) < 2f64.powi(64 - 22));
}

#[test]
fn whole_rotations_decrypt_to_what_tfhes_do() {
    let key = tfhe_key(&keys().public);
    let test = &projections(&network())[0].test_polynomial;
    let mut random = reproducible([4; 16], 3 * 705)
        .into_iter()
        .map(|x| (x >> 54) as usize);
    let inputs: Vec<ModSwitchedLwe> = (0..3)
        .map(|_| ModSwitchedLwe {
            mask: random.by_ref().take(704).collect(),
            body: random.next().unwrap(),
        })
        .collect();
    let ours = keys().key.bootstrap.rotate(&inputs, &[test, test, test]);
    let theirs = tfhe_rotate(&key, &inputs, test);
    let len = PARAMS.ggsw_rows() * PARAMS.polynomial_size.0;
    for (ours, theirs) in ours.chunks_exact(len).zip(theirs.chunks_exact(len)) {
        for position in (0..PARAMS.polynomial_size.0).step_by(16) {
            let difference =
                phase(ours, position).wrapping_sub(phase(theirs, position)) as i64 as f64 / 2f64.powi(64);
            // Standard deviation of the difference of two independent errors.
            let deviation = (2.0 * NetworkNoise::rotation(&PARAMS)).sqrt();
            assert!(
                difference.abs() < 7.0 * deviation,
                "{position}: {difference}, {deviation}"
            );
        }
    }
}
