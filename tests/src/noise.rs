//! Measures the noise in blobs as they leave the client and the engine.
//!
//! Phases are computed with the secret key by sums over its bits, instead of the fast products that
//! made the blobs, and messages from the definitions of the wire format. The expansion of masks
//! from seeds and the layout of blobs are read by the code under test. An error that is the same on
//! both sides goes unnoticed here; the vectors that `tests/vectors/check.py` checks with
//! independent code would reveal it.

use blindscore_client::ClientKey;
use blindscore_engine::{
    Engine, IntegerNetwork, IntegerOutput, LinearEngine, NetworkEngine, PreparedKey,
    network::IntegerProjection,
};
use blindscore_protocol::{
    descriptor::{self, Answer, Inputs, Link, ModelDescriptor, Output, Sizes, Task},
    ids::ModelId,
    noise::{NetworkNoise, ScoreNoise},
    params::ParameterSet,
    polynomial::{automorphism, product_coefficient},
    random::{MaskSeed, reproducible},
    wire::{
        EvaluationKey, FORMAT_VERSION, LinearEvaluationKey, NetworkEvaluationKey, Query, Response,
        SecretKeyBits,
    },
};

/// Number of keys to measure: the rarest ciphertexts of a network's key have 704 coefficients, and
/// a part of a response's noise is constant for a key.
const KEYS: usize = 64;
/// Number of features in a query.
const FEATURES: usize = 2_048;
/// Torus element of one level of a feature.
const INPUT_STEP: u64 = 1 << 40;
/// Number of levels of a feature.
const LEVELS: u32 = 4;
/// Responses of a linear model to measure per key, and their scores: two that share a ciphertext
/// and one with its own.
const LINEAR: (usize, usize) = (800, 3);
/// Responses of a network to measure per key, and their scores.
const NETWORK: (usize, usize) = (55, 15);
/// Panic message when the code rejects a blob that it has made itself.
const OWN: &str = "what was made here";

/// Measured noise of one kind of ciphertext, with its stated distribution.
pub struct Measured {
    /// Name of the parameter set.
    pub set: &'static str,
    /// Kind of ciphertext.
    pub what: &'static str,
    /// Dimension of the secret if security depends on this noise; `None` for responses.
    pub dimension: Option<usize>,
    /// Stated standard deviation, as a fraction of the torus.
    pub stated: f64,
    /// Errors, in stated deviations.
    pub errors: Vec<f64>,
}

impl Measured {
    /// Returns the mean of the errors, in stated deviations.
    pub fn mean(&self) -> f64 {
        self.errors.iter().sum::<f64>() / self.errors.len() as f64
    }

    /// Returns the standard deviation of the errors, in stated deviations.
    pub fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares = self.errors.iter().map(|error| (error - mean).powi(2));
        (squares.sum::<f64>() / self.errors.len() as f64).sqrt()
    }

    fn extend(&mut self, errors: impl IntoIterator<Item = f64>) {
        let stated = self.stated;
        self.errors.extend(errors.into_iter().map(|error| error / stated));
    }
}

/// Measures every kind of ciphertext of a parameter set: query, each part of a public key,
/// response.
pub fn measure(set: ParameterSet) -> Vec<Measured> {
    let model = Model::new(set);
    let mut client: Vec<Measured> = set
        .encryptions()
        .into_iter()
        .map(|encryption| Measured {
            set: set.name(),
            what: encryption.what,
            dimension: Some(encryption.dimension()),
            stated: encryption.std_dev(),
            errors: Vec::new(),
        })
        .collect();
    let mut responses = model.responses(&set);
    for turn in 0..KEYS {
        let (key, public) = ClientKey::generate(set).expect(OWN);
        let secret = SecretKeyBits::from_blob(&key.to_bytes()).expect(OWN);
        let public = EvaluationKey::from_blob(&public.to_blob().0).expect(OWN);
        let (features, query) = model.query(&key);
        let mut found = vec![query_errors(&set, &query, &secret.bits, &features, model.step())];
        found.extend(match &public {
            EvaluationKey::Linear(key) => linear_key_errors(key, &secret.bits),
            EvaluationKey::Network(key) => network_key_errors(key, &secret.bits, turn),
        });
        assert_eq!(found.len(), client.len(), "every kind is measured");
        for (measured, errors) in client.iter_mut().zip(found) {
            measured.extend(errors);
        }
        let prepared = PreparedKey::new(&public);
        for _ in 0..model.queries {
            let (features, query) = model.query(&key);
            let response = model.engine.score(&query, &prepared).expect(OWN).to_blob();
            let outputs = model.descriptor.outputs.len();
            let response = Response::from_blob(&response, set.response_format(), outputs).expect(OWN);
            for (score, exact) in model.exact(&features).into_iter().enumerate() {
                let (mask, position) = response.place(score);
                let (secret, size) = score_secret(&set, &secret.bits);
                let phase = phase(response.bodies[score], mask, secret, size, position);
                let place = score.min(responses.len() - 1);
                responses[place].extend([torus(phase.wrapping_sub(exact))]);
            }
        }
    }
    client.extend(responses);
    client
}

/// Converts a torus element to a fraction of the torus, from -1/2 to 1/2.
fn torus(element: u64) -> f64 {
    element as i64 as f64 / 2f64.powi(64)
}

/// Returns coefficient `position` of the phase `body - sum_i mask_i secret_i`, for polynomials of
/// `size` coefficients.
fn phase(body: u64, mask: &[u64], secret: &[u64], size: usize, position: usize) -> u64 {
    let polynomials = mask.chunks_exact(size).zip(secret.chunks_exact(size));
    polynomials.fold(body, |phase, (mask, secret)| {
        phase.wrapping_sub(product_coefficient(mask, secret, position))
    })
}

/// Returns the secret that scores are encrypted with, and the size of its polynomials.
fn score_secret<'a>(set: &ParameterSet, secret: &'a [u64]) -> (&'a [u64], usize) {
    match set {
        ParameterSet::Linear(params) => (secret, params.n()),
        ParameterSet::Network(params) => (
            &secret[params.input_lwe_dimension().0..],
            params.polynomial_size.0,
        ),
    }
}

fn query_errors(set: &ParameterSet, query: &Query, secret: &[u64], features: &[f64], step: u64) -> Vec<f64> {
    let (secret, size) = match set {
        ParameterSet::Linear(params) => (secret, params.n()),
        ParameterSet::Network(params) => (
            &secret[..params.input_lwe_dimension().0],
            params.input_polynomial_size.0,
        ),
    };
    let masks = query.masks().next(FEATURES / size * secret.len());
    let error = |(place, (body, feature)): (usize, (&u64, &f64))| {
        let mask = &masks[place / size * secret.len()..][..secret.len()];
        let message = (*feature as u64).wrapping_mul(step);
        torus(phase(*body, mask, secret, size, place % size).wrapping_sub(message))
    };
    query.bodies.iter().zip(features).enumerate().map(error).collect()
}

/// Consecutive ciphertexts of a public key.
struct Ciphertexts<'a> {
    masks: Vec<u64>,
    bodies: &'a [u64],
    secret: &'a [u64],
    size: usize,
}

impl Ciphertexts<'_> {
    /// Returns the errors of the ciphertext at `index`, which encrypts `message`.
    fn errors(&self, index: usize, message: &[u64]) -> Vec<f64> {
        let mask = &self.masks[index * self.secret.len()..][..self.secret.len()];
        let bodies = &self.bodies[index * self.size..][..self.size];
        let error = |(position, (body, message)): (usize, (&u64, &u64))| {
            torus(phase(*body, mask, self.secret, self.size, position).wrapping_sub(*message))
        };
        bodies.iter().zip(message).enumerate().map(error).collect()
    }
}

fn scaled(polynomial: &[u64], factor: u64) -> Vec<u64> {
    polynomial.iter().map(|x| x.wrapping_mul(factor)).collect()
}

/// Returns `polynomial(X^exponent) * factor`.
fn image(polynomial: &[u64], exponent: usize, factor: u64) -> Vec<u64> {
    let mut image = vec![0; polynomial.len()];
    automorphism(&mut image, polynomial, exponent);
    scaled(&image, factor)
}

/// Returns the errors of the encryption of zero, then of the automorphism key.
fn linear_key_errors(key: &LinearEvaluationKey, secret: &[u64]) -> Vec<Vec<f64>> {
    let n = key.params.n();
    let ciphertexts = Ciphertexts {
        masks: key.masks().next(2 * n),
        bodies: &[&key.zero_body[..], &key.automorphism_body].concat(),
        secret,
        size: n,
    };
    let switched = image(secret, n + 1, key.params.automorphism_gadget());
    vec![
        ciphertexts.errors(0, &vec![0; n]),
        ciphertexts.errors(1, &switched),
    ]
}

/// Returns the errors of the bootstrapping key (a different part for each `turn`), the packing key,
/// the encryptions of zero over both rings, and the key-switching key if there is one.
fn network_key_errors(key: &NetworkEvaluationKey, secret: &[u64], turn: usize) -> Vec<Vec<f64>> {
    let params = &key.params;
    let (n, rows) = (params.polynomial_size.0, params.ggsw_rows());
    let (input, output) = secret.split_at(params.input_lwe_dimension().0);
    let gadget = params.gadget();
    let mut masks = key.masks();
    let ciphertexts = Ciphertexts {
        masks: masks.next(params.key_ciphertexts() * output.len()),
        bodies: &key.bodies,
        secret: output,
        size: n,
    };
    let (input_k, input_n) = (params.input_glwe_dimension.0, params.input_polynomial_size.0);
    let input_zeros = Ciphertexts {
        masks: masks.next(input_k * input.len()),
        bodies: &key.input_zeros,
        secret: input,
        size: input_n,
    };
    let key_switch = Ciphertexts {
        masks: masks.next(params.key_switch_ciphertexts() * input.len()),
        bodies: &key.key_switch,
        secret: input,
        size: input_n,
    };
    let mut bootstrapping = Vec::new();
    for (index, bit) in input.iter().enumerate().skip(turn).step_by(KEYS) {
        let factor = bit.wrapping_mul(gadget);
        let mut last = vec![0; n];
        last[0] = factor;
        let messages = output.chunks_exact(n).map(|s| scaled(s, factor.wrapping_neg()));
        for (row, message) in messages.chain([last]).enumerate() {
            bootstrapping.extend(ciphertexts.errors(index * rows + row, &message));
        }
    }
    let images = |exponent| output.chunks_exact(n).map(move |s| image(s, exponent, gadget));
    let images = params.galois_elements().flat_map(images);
    let of = |(index, message): (usize, Vec<u64>)| ciphertexts.errors(index, &message);
    let packing: Vec<f64> = (input.len() * rows..).zip(images).flat_map(of).collect();
    let first_zero = params.key_ciphertexts() - params.glwe_dimension.0;
    let zeros = (first_zero..params.key_ciphertexts()).map(|index| (index, vec![0; n]));
    let input_zero = |index| input_zeros.errors(index, &vec![0; input_n]);
    let mut errors = vec![
        bootstrapping,
        packing,
        zeros.flat_map(of).collect(),
        (0..input_k).flat_map(input_zero).collect(),
    ];
    if let Some(switch) = &params.key_switch {
        let levels = switch.level_count.0;
        let of_switch = |index: usize| {
            let polynomial = &output[index / levels * input_n..][..input_n];
            let shift = 64 - (index % levels + 1) * switch.base_log.0;
            key_switch.errors(index, &scaled(polynomial, 1 << shift))
        };
        errors.push((0..params.key_switch_ciphertexts()).flat_map(of_switch).collect());
    }
    errors
}

/// Model whose responses are measured.
struct Model {
    descriptor: descriptor::CheckedDescriptor,
    engine: Engine,
    integers: Integers,
    /// Number of queries per key.
    queries: usize,
}

/// The same model in the clear.
enum Integers {
    Linear(Vec<IntegerOutput>),
    Network(IntegerNetwork),
}

impl Model {
    fn new(set: ParameterSet) -> Self {
        let mut random = reproducible([7; 16], FEATURES * LINEAR.1 + 1_000).into_iter();
        // From -2^bits to 2^bits.
        let mut weight = |bits: u32| random.next().expect(OWN) as i64 >> (63 - bits);
        let (engine, integers, step, (queries, outputs)) = match set {
            ParameterSet::Linear(params) => {
                let outputs = (0..LINEAR.1).map(|_| IntegerOutput {
                    weights: (0..FEATURES).map(|_| weight(10)).collect(),
                    intercept: weight(60) as u64,
                });
                let outputs: Vec<_> = outputs.collect();
                let engine = Engine::Linear(LinearEngine::new(params, &outputs));
                (engine, Integers::Linear(outputs), INPUT_STEP, LINEAR)
            }
            ParameterSet::Network(params) => {
                let network = flat_network(&mut weight);
                let engine = Engine::Network(Box::new(NetworkEngine::new(params, &network)));
                let step = network.input_step();
                (engine, Integers::Network(network), step, NETWORK)
            }
        };
        let output = |c: usize| Output {
            label: c.to_string(),
            offset: 0.0,
            half_range: 1.0,
        };
        let descriptor = ModelDescriptor {
            name: "noise".into(),
            id: ModelId::of(b"noise"),
            title: String::new(),
            formats: vec![FORMAT_VERSION],
            parameter_set: set.name().into(),
            inputs: Inputs::uniform(FEATURES, 0.0, f64::from(LEVELS - 1), LEVELS),
            input_step: step,
            outputs: (0..outputs).map(output).collect(),
            task: Task::Regression,
            classes: None,
            link: Link::Identity,
            members: Vec::new(),
            answer: Answer::Scores,
            fine_features: None,
            fine: None,
            sizes: Sizes::of(&set, FEATURES, outputs),
            score_error: 0.0,
            accuracy: None,
            batch: None,
            version: None,
        };
        Self {
            descriptor: descriptor.try_into().expect(OWN),
            engine,
            integers,
            queries,
        }
    }

    fn step(&self) -> u64 {
        self.descriptor.input_step
    }

    /// Returns random features, and their query as it leaves the client.
    fn query(&self, key: &ClientKey) -> (Vec<f64>, Query) {
        let seed = MaskSeed::fresh().expect(OWN);
        let random = reproducible(seed.0, FEATURES);
        let features: Vec<f64> = random.iter().map(|r| (r % u64::from(LEVELS)) as f64).collect();
        let blob = key.encrypt(&self.descriptor, &features).expect(OWN);
        let query = Query::from_blob(&blob, key.parameters().query_format(), FEATURES).expect(OWN);
        (features, query)
    }

    /// Returns the noiseless phase of each score.
    fn exact(&self, features: &[f64]) -> Vec<u64> {
        let integers: Vec<i64> = features.iter().map(|x| *x as i64).collect();
        match &self.integers {
            Integers::Linear(outputs) => {
                let exact = outputs.iter().map(|output| {
                    let terms = integers.iter().zip(&output.weights);
                    let product: i64 = terms.map(|(x, w)| x * w).sum();
                    // Packing doubles the phase.
                    (product as u64)
                        .wrapping_mul(self.step())
                        .wrapping_add(output.intercept)
                        .wrapping_mul(2)
                });
                exact.collect()
            }
            Integers::Network(network) => {
                let logits = network.logits(&integers);
                let phase = |logit: &f64| (logit * network.amplitude()) as i64 as u64;
                logits.iter().map(phase).collect()
            }
        }
    }

    /// Returns the stated noise of responses: one entry for all scores, or one for each of the
    /// first and one for the rest.
    fn responses(&self, set: &ParameterSet) -> Vec<Measured> {
        let measured = |what, variance: f64| Measured {
            set: set.name(),
            what,
            dimension: None,
            stated: variance.sqrt(),
            errors: Vec::new(),
        };
        let norm = |weights: &mut dyn Iterator<Item = i64>| weights.map(|w| (w * w) as f64).sum::<f64>();
        match (&self.integers, set) {
            (Integers::Linear(outputs), ParameterSet::Linear(params)) => {
                let of = |output: &IntegerOutput, packed| {
                    ScoreNoise::predict(params, norm(&mut output.weights.iter().copied()), packed).total()
                };
                vec![
                    measured("response, first of a pair", of(&outputs[0], true)),
                    measured("response, second of a pair", of(&outputs[1], true)),
                    measured("response, single", of(&outputs[2], false)),
                ]
            }
            (Integers::Network(network), ParameterSet::Network(params)) => {
                let reads = network
                    .projections
                    .iter()
                    .flat_map(|projection| &projection.reads[0]);
                let variance = NetworkNoise::score(params, norm(&mut reads.copied()));
                vec![measured("response", variance)]
            }
            _ => unreachable!("the model was made for this set"),
        }
    }
}

/// Creates two projections evaluated where their ramps are flat. There the noise of `p` has no
/// effect, and only the response's noise remains. All outputs have weights of the same norm.
fn flat_network(weight: &mut impl FnMut(u32) -> i64) -> IntegerNetwork {
    const RANGE: i64 = 100;
    const TAPS: usize = 16;
    let mut projection = || {
        let sign = |weight: i64| if weight < 0 { -2 } else { 2 };
        let thresholds: Vec<i64> = (0..8).map(|read| 10 * read).collect();
        let mut reads = || thresholds.iter().map(|_| sign(weight(1))).collect();
        IntegerProjection {
            // From 0 to 48, and so p from 0.26 to 0.74.
            weights: (0..FEATURES).map(|i| i64::from(i < TAPS)).collect(),
            bias: 26,
            width: 0.05,
            reads: (0..NETWORK.1).map(|_| reads()).collect(),
            thresholds,
        }
    };
    IntegerNetwork {
        projections: vec![projection(), projection()],
        biases: vec![0.0; NETWORK.1],
        range: RANGE as f64,
        max_logit: 40.0,
        max_difference: None,
    }
}
