//! Measures sanitised blind rotations (Hwang, Min, Song, "Practical Circuit Privacy/Sanitization
//! for TFHE", ePrint 2025/216) as the last step of models that send labels, beside what the server
//! does. Results are in docs/cryptography.md.
//!
//! A sanitised bit says nothing about how it was computed, by the paper's proof. A ciphertext gets
//! a fresh encryption of zero; the blind rotation's result, whose message is a multiple of a
//! quarter of the torus, is multiplied by a random polynomial that is 1 modulo 4; and the sample
//! taken from it gets noise and another encryption of zero. The widths follow from the noise of the
//! blind rotation (`Widths`), and are so large that the rotation needs three levels.
//!
//! `cargo run --release -p blindscore-engine --example sanitize`

use blindscore_engine::network::{BootstrapKey, ModSwitchedLwe};
use blindscore_protocol::{
    params::{NetworkParams, TUniformBound},
    random::{MaskStream, reproducible_stream},
};
use std::{
    f64::consts::TAU,
    time::{Duration, Instant},
};
use tfhe::core_crypto::{
    algorithms::{
        ModulusSwitchedLweCiphertext,
        polynomial_algorithms::{
            polynomial_karatsuba_wrapping_mul, polynomial_wrapping_monic_monomial_div_assign,
        },
    },
    commons::{generators::DeterministicSeeder, math::random::Seed},
    prelude::*,
};

/// The paper's ring, with the dimensions and noises of [`NetworkParams::N832_K2`].
const N: usize = 2048;
const INPUT: LweDimension = LweDimension(832);
const STEPS_LOG2: usize = 12;
const GLWE_NOISE: TUniformBound = TUniformBound::new(17);
const INPUT_NOISE: TUniformBound = TUniformBound::new(47);
/// Bits that a key's bodies would keep on the wire, of noise 2^-47.8.
const KEY_BITS: usize = 48;
/// A bit is plus or minus a quarter of the torus, so four times a bit is zero.
const BIT: u64 = 1 << 62;
const SPACE: u64 = 4;
/// Standard deviations that bound a noise, and the smoothing parameter: as in the paper's code.
const BOUND: f64 = 13.15;
const SMOOTHING: f64 = 6.0;
const RUNS: usize = 500;
/// Bases and levels to compare.
const GADGETS: [(usize, usize); 3] = [(16, 2), (12, 3), (9, 4)];

type Modulus = CiphertextModulus<u64>;
const MODULUS: Modulus = CiphertextModulus::new_native();

/// Widths of the noise that is added, in units of `2^-64` of the torus where they are not of
/// polynomials.
#[derive(Clone, Copy)]
struct Widths {
    /// Standard deviation of the random polynomial's coefficients.
    factor: f64,
    /// Standard deviation of the Gaussian noise.
    noise: f64,
}

impl Widths {
    /// Returns the widths for a product with a ciphertext whose error has this standard deviation.
    /// `own` is what the polynomial's coefficients add by themselves: the mean square of the
    /// secret's, and the bound of an encryption of zero.
    fn of(error: f64, own: (f64, f64)) -> Self {
        let n = N as f64;
        let largest = n * (own.1 + (BOUND * error).powi(2)).sqrt();
        let usual = (n * (error * error + own.0)).sqrt();
        let factor = SMOOTHING * ((largest + usual) / usual).sqrt();
        let noise = factor * (largest * usual).sqrt();
        Self { factor, noise }
    }

    /// Widths of an encryption of zero.
    fn zero() -> Self {
        Self::of(GLWE_NOISE.std_dev().0 * 64f64.exp2(), (0.25, 1.0))
    }

    /// Widths of the product with a rotation's result.
    fn product(rotation: f64) -> Self {
        let widths = Self::of(rotation, (0.0, 0.0));
        let space = SPACE as f64;
        Self {
            factor: space * widths.factor,
            noise: space * widths.noise,
        }
    }
}

/// Samples of uniform and Gaussian numbers.
struct Random(MaskStream);

impl Random {
    fn uniform(&mut self) -> f64 {
        (self.0.next(1)[0] >> 11) as f64 / 53f64.exp2()
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.uniform()).ln()).sqrt() * (TAU * self.uniform()).cos()
    }

    /// A number of the torus: a Gaussian one, rounded.
    fn rounded(&mut self, width: f64) -> u64 {
        (self.normal() * width).round() as i64 as u64
    }
}

/// Discrete Gaussian distribution over the integers, by its cumulative table.
struct Discrete {
    first: i64,
    cumulative: Vec<f64>,
}

impl Discrete {
    fn new(centre: f64, width: f64) -> Self {
        let reach = (BOUND * width).ceil() as i64;
        let weight = |x: i64| (-(x as f64 - centre).powi(2) / (2.0 * width * width)).exp();
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (-reach..=reach)
            .map(|x| {
                sum += weight(x);
                sum
            })
            .collect();
        cumulative.iter_mut().for_each(|value| *value /= sum);
        Self {
            first: -reach,
            cumulative,
        }
    }

    fn sample(&self, random: &mut Random) -> i64 {
        let uniform = random.uniform();
        self.first + self.cumulative.partition_point(|&value| value <= uniform) as i64
    }
}

/// LWE ciphertext with its mask switched to the rotation's steps, and no body.
struct Mask(Vec<usize>);

impl ModulusSwitchedLweCiphertext<usize> for Mask {
    fn log_modulus(&self) -> CiphertextModulusLog {
        CiphertextModulusLog(STEPS_LOG2)
    }

    fn lwe_dimension(&self) -> LweDimension {
        LweDimension(self.0.len())
    }

    fn body(&self) -> usize {
        0
    }

    fn mask(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.0.iter().copied()
    }
}

fn step(number: u64) -> usize {
    let rounded = number.wrapping_add(1 << (63 - STEPS_LOG2));
    (rounded >> (64 - STEPS_LOG2)) as usize
}

/// Client and server in one.
struct Party {
    secret: LweSecretKeyOwned<u64>,
    rotation: FourierLweBootstrapKeyOwned,
    switch: LweKeyswitchKeyOwned<u64>,
    /// Encryption of zero under the output secret, by which others are made.
    public: GlweCiphertextOwned<u64>,
    zero: (Discrete, f64),
    random: Random,
    generator: EncryptionRandomGenerator<DefaultRandomGenerator>,
}

fn distribution(bound: TUniformBound) -> DynamicDistribution<u64> {
    DynamicDistribution::new_t_uniform(bound.log2())
}

impl Party {
    fn new((base_log, levels): (usize, usize)) -> anyhow::Result<Self> {
        let mut bytes = [0; 32];
        getrandom::getrandom(&mut bytes)?;
        let (seed, rest) = bytes.split_at(16);
        let mut seeder =
            DeterministicSeeder::<DefaultRandomGenerator>::new(Seed(u128::from_le_bytes(seed.try_into()?)));
        let mut secrets = SecretRandomGenerator::<DefaultRandomGenerator>::new(seeder.seed());
        let mut generator = EncryptionRandomGenerator::new(seeder.seed(), &mut seeder);
        let input = allocate_and_generate_new_binary_lwe_secret_key(INPUT, &mut secrets);
        let glwe: GlweSecretKeyOwned<u64> = allocate_and_generate_new_binary_glwe_secret_key(
            GlweDimension(1),
            PolynomialSize(N),
            &mut secrets,
        );
        let noise = distribution(GLWE_NOISE);
        let standard = par_allocate_and_generate_new_lwe_bootstrap_key(
            &input,
            &glwe,
            DecompositionBaseLog(base_log),
            DecompositionLevelCount(levels),
            noise,
            MODULUS,
            &mut generator,
        );
        let mut rotation = FourierLweBootstrapKey::new(
            standard.input_lwe_dimension(),
            standard.glwe_size(),
            standard.polynomial_size(),
            standard.decomposition_base_log(),
            standard.decomposition_level_count(),
        );
        convert_standard_lwe_bootstrap_key_to_fourier(&standard, &mut rotation);
        let mut public = GlweCiphertext::new(0, GlweSize(2), PolynomialSize(N), MODULUS);
        encrypt_glwe_ciphertext_assign(&glwe, &mut public, noise, &mut generator);
        let secret = glwe.into_lwe_secret_key();
        let switch = allocate_and_generate_new_lwe_keyswitch_key(
            &secret,
            &input,
            DecompositionBaseLog(2),
            DecompositionLevelCount(8),
            distribution(INPUT_NOISE),
            MODULUS,
            &mut generator,
        );
        let zero = Widths::zero();
        Ok(Self {
            secret,
            rotation,
            switch,
            public,
            zero: (Discrete::new(0.0, zero.factor), zero.noise),
            random: Random(reproducible_stream(rest.try_into()?)),
            generator,
        })
    }

    fn encrypt(&mut self, bit: bool) -> LweCiphertextOwned<u64> {
        allocate_and_encrypt_new_lwe_ciphertext(
            &self.secret,
            Plaintext(if bit { BIT } else { BIT.wrapping_neg() }),
            distribution(GLWE_NOISE),
            MODULUS,
            &mut self.generator,
        )
    }

    /// Returns the error of a bit as a part of the torus.
    fn error(&self, bit: bool, ciphertext: &LweCiphertextOwned<u64>) -> f64 {
        let phase = decrypt_lwe_ciphertext(&self.secret, ciphertext).0;
        let message = if bit { BIT } else { BIT.wrapping_neg() };
        phase.wrapping_sub(message) as i64 as f64 / 64f64.exp2()
    }

    /// Multiplies a GLWE ciphertext by a polynomial, exactly, and takes the constant coefficient.
    fn product(
        ciphertext: &GlweCiphertextOwned<u64>,
        factor: &Polynomial<Vec<u64>>,
    ) -> GlweCiphertextOwned<u64> {
        let mut product = GlweCiphertext::new(0, GlweSize(2), PolynomialSize(N), MODULUS);
        for (mut out, poly) in product
            .as_mut_polynomial_list()
            .iter_mut()
            .zip(ciphertext.as_polynomial_list().iter())
        {
            polynomial_karatsuba_wrapping_mul(&mut out, &poly, factor);
        }
        product
    }

    fn extract(ciphertext: &GlweCiphertextOwned<u64>) -> LweCiphertextOwned<u64> {
        let mut sample = LweCiphertext::new(0, LweSize(N + 1), MODULUS);
        extract_lwe_sample_from_glwe_ciphertext(ciphertext, &mut sample, MonomialDegree(0));
        sample
    }

    /// Adds a fresh encryption of zero (the paper's first step).
    fn randomize(&mut self, ciphertext: &mut LweCiphertextOwned<u64>) {
        let (discrete, noise) = &self.zero;
        let mut sample = || -> Vec<u64> {
            let numbers = (0..N).map(|_| discrete.sample(&mut self.random) as u64);
            numbers.collect()
        };
        let mut zero = Self::product(&self.public, &Polynomial::from_container(sample()));
        let errors = sample();
        for (coefficient, error) in zero.get_mut_mask().as_mut().iter_mut().zip(errors) {
            *coefficient = coefficient.wrapping_add(error);
        }
        let mut zero = Self::extract(&zero);
        let body = zero.get_mut_body().data;
        *body = body.wrapping_add(self.random.rounded(*noise));
        lwe_ciphertext_add_assign(ciphertext, &zero);
    }

    /// Rotates by the mask alone. Returns the rotated bits, and the steps of the body.
    fn rotate(&self, ciphertext: &LweCiphertextOwned<u64>) -> (GlweCiphertextOwned<u64>, usize) {
        let mut input = LweCiphertext::new(0, INPUT.to_lwe_size(), MODULUS);
        keyswitch_lwe_ciphertext(&self.switch, ciphertext, &mut input);
        let mask = Mask(input.get_mask().as_ref().iter().map(|&a| step(a)).collect());
        let mut accumulator = GlweCiphertext::new(0, GlweSize(2), PolynomialSize(N), MODULUS);
        accumulator.get_mut_body().as_mut().fill(BIT);
        blind_rotate_assign(&mask, &mut accumulator, &self.rotation);
        (accumulator, step(*input.get_body().data))
    }

    /// A programmable bootstrapping without sanitisation.
    fn bootstrap(&self, ciphertext: &LweCiphertextOwned<u64>) -> LweCiphertextOwned<u64> {
        let (mut rotated, body) = self.rotate(ciphertext);
        for mut poly in rotated.as_mut_polynomial_list().iter_mut() {
            polynomial_wrapping_monic_monomial_div_assign(&mut poly, MonomialDegree(body));
        }
        Self::extract(&rotated)
    }

    /// The paper's algorithm. `discrete` are the distributions of the random polynomial's constant
    /// coefficient and of the others, divided by [`SPACE`].
    fn sanitize(
        &mut self,
        ciphertext: &LweCiphertextOwned<u64>,
        discrete: &(Discrete, Discrete),
        noise: f64,
    ) -> LweCiphertextOwned<u64> {
        let mut input = ciphertext.clone();
        self.randomize(&mut input);
        let (rotated, body) = self.rotate(&input);
        let mut factor: Vec<u64> = (0..N)
            .map(|i| {
                let (first, others) = discrete;
                let multiple = if i == 0 { first } else { others }.sample(&mut self.random);
                SPACE.wrapping_mul(multiple as u64)
            })
            .collect();
        factor[0] = factor[0].wrapping_add(1);
        let mut factor = Polynomial::from_container(factor);
        polynomial_wrapping_monic_monomial_div_assign(&mut factor, MonomialDegree(body));
        let mut bit = Self::extract(&Self::product(&rotated, &factor));
        let body = bit.get_mut_body().data;
        *body = body.wrapping_add(self.random.rounded(noise));
        self.randomize(&mut bit);
        bit
    }
}

/// Standard deviation of errors around zero.
fn deviation(errors: &[f64]) -> f64 {
    (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt()
}

fn log2(deviation: f64) -> String {
    format!("2^{:.1}", deviation.log2())
}

fn main() -> anyhow::Result<()> {
    println!(
        "| base, levels | key | noise before | noise added, by the paper | noise of a bit | wrong of {RUNS} | bootstrapping | sanitised |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for gadget in GADGETS {
        row(gadget)?;
    }
    let (params, seconds) = (NetworkParams::N832_K2, ours());
    println!(
        "\nA blind rotation of {} by the server, one level of {} bits: {:.1} ms",
        params.name,
        params.base_log.0,
        seconds * 1e3
    );
    Ok(())
}

fn row(gadget: (usize, usize)) -> anyhow::Result<()> {
    let mut party = Party::new(gadget)?;
    let bits: Vec<bool> = (0..RUNS).map(|i| i % 2 == 0).collect();
    let inputs: Vec<_> = bits.iter().map(|&bit| party.encrypt(bit)).collect();
    let (mut before, mut after, mut times) = (Vec::new(), Vec::new(), [Duration::ZERO; 2]);
    for (&bit, input) in bits.iter().zip(&inputs) {
        let started = Instant::now();
        let plain = party.bootstrap(input);
        times[0] += started.elapsed();
        before.push(party.error(bit, &plain));
    }
    let measured = deviation(&before);
    let widths = Widths::product(measured * 64f64.exp2());
    let space = SPACE as f64;
    let width = widths.factor / space;
    let discrete = (Discrete::new(-1.0 / space, width), Discrete::new(0.0, width));
    for (&bit, input) in bits.iter().zip(&inputs) {
        let started = Instant::now();
        let sanitized = party.sanitize(input, &discrete, widths.noise);
        times[1] += started.elapsed();
        after.push(party.error(bit, &sanitized));
    }
    let wrong = after.iter().filter(|error| error.abs() >= 0.25).count();
    // Masks are seeds.
    let key = INPUT.0 * 2 * gadget.1 * N * KEY_BITS / 8;
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3 / RUNS as f64;
    println!(
        "| {}, {} | {:.0} MB | {} | {} | {} | {wrong} | {:.1} ms | {:.1} ms |",
        gadget.0,
        gadget.1,
        key as f64 / 1e6,
        log2(measured),
        log2(widths.noise / 64f64.exp2()),
        log2(deviation(&after)),
        milliseconds(times[0]),
        milliseconds(times[1]),
    );
    Ok(())
}

/// Returns the seconds of one of the server's own blind rotations.
fn ours() -> f64 {
    let params = NetworkParams::N832_K2;
    let mut random = reproducible_stream([1; 16]);
    let key = BootstrapKey::new(params, |row| random.fill(row));
    let steps = 1 << params.rotation_log2();
    let inputs: Vec<_> = (0..32)
        .map(|_| ModSwitchedLwe {
            mask: random.next(INPUT.0).iter().map(|&x| x as usize % steps).collect(),
            body: 0,
        })
        .collect();
    let table = vec![BIT; params.polynomial_size.0];
    let tables = vec![table.as_slice(); inputs.len()];
    key.rotate(&inputs, &tables);
    let started = Instant::now();
    key.rotate(&inputs, &tables);
    started.elapsed().as_secs_f64() / inputs.len() as f64
}
