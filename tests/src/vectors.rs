//! Known-answer vectors: what a client makes from fixed seeds, and what it reads in a stored
//! response. `tests/vectors/check.py` checks the same files with independent code.

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use blindscore_client::{ClientKey, known_answers::Seeds};
use blindscore_engine::{
    Engine, IntegerNetwork, IntegerOutput, LayersEngine, LinearEngine, NetworkEngine, PreparedKey,
    layers::{IntegerLayers, IntegerUnit},
    network::IntegerProjection,
};
use blindscore_protocol::{
    descriptor::{Answer, CheckedDescriptor, Inputs, Link, ModelDescriptor, Output, Sizes, Task},
    ids::ModelId,
    params::{NetworkParams, ParameterSet},
    random::{MaskSeed, SAMPLER_SEED_BYTES, reproducible},
    wire::{EvaluationKey, FORMAT_VERSION, Query, QueryId},
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Content of one vector file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// Name of the parameter set.
    pub set: String,
    /// Secret key.
    pub secret_key: SecretKey,
    /// Public key of the secret key.
    pub public_key: Published,
    /// Query under the secret key.
    pub query: Asked,
    /// Response to the query.
    pub response: Answered,
}

/// Secret key. Seeds are hexadecimal, blobs base64.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretKey {
    sampler_seed: String,
    blob: String,
}

/// Public key, with its id in place of a blob, which may be too long to store.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Published {
    mask_seed: String,
    sampler_seed: String,
    id: String,
}

/// Query for given levels.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    mask_seed: String,
    sampler_seed: String,
    model: String,
    input_step: u64,
    /// How many times finer the features are that follow the others, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fine: Option<u32>,
    levels: Vec<u32>,
    blob: String,
}

/// Response, and the scores that a client reads in it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    blob: String,
    /// How many times finer the scores are that follow the others, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fine: Option<u32>,
    outputs: Vec<Range>,
    scores: Vec<f64>,
}

/// Offset and scale that turn a phase into a score.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    offset: f64,
    half_range: f64,
}

const FEATURES: usize = 100;
const LEVELS: u32 = 16;
const OUTPUTS: usize = 3;
/// Of the set whose queries have each feature twice, and whose responses each score.
const FINE: u32 = 4;

/// Returns the folder of the vectors.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

impl Vector {
    /// Creates a vector from fixed seeds with the current code. The response's noise is different
    /// each time.
    ///
    /// # Errors
    /// Fails if the client rejects the engine's response.
    pub fn make(set: ParameterSet) -> Result<Self> {
        let seeds = [1u8, 2, 3].map(|index| Seeds {
            masks: MaskSeed([0x10 + index; 16]),
            sampler: [0x20 + index; SAMPLER_SEED_BYTES],
        });
        let key = ClientKey::secret_from_seed(set, &seeds[0].sampler);
        let levels: Vec<u32> = reproducible([1; 16], FEATURES)
            .iter()
            .map(|r| (r % u64::from(LEVELS)) as u32)
            .collect();
        let (engine, step) = model(&set);
        let descriptor = descriptor(&set, step);
        let mut made = Self {
            set: set.name().to_owned(),
            secret_key: SecretKey {
                sampler_seed: hex(&seeds[0].sampler),
                blob: String::new(),
            },
            public_key: Published {
                mask_seed: hex(&seeds[1].masks.0),
                sampler_seed: hex(&seeds[1].sampler),
                id: String::new(),
            },
            query: Asked {
                mask_seed: hex(&seeds[2].masks.0),
                sampler_seed: hex(&seeds[2].sampler),
                model: descriptor.id.to_string(),
                input_step: step,
                fine: descriptor.fine_features,
                levels,
                blob: String::new(),
            },
            response: Answered {
                blob: String::new(),
                fine: descriptor.fine,
                outputs: Vec::new(),
                scores: Vec::new(),
            },
        };
        let (public, query) = made.encrypt(key, &descriptor)?;
        let parsed = Query::from_blob(&query, set.query_format(), descriptor.sent_features())?;
        let response = engine.score(&parsed, &PreparedKey::new(&public))?.to_blob();
        made.response.outputs = descriptor
            .outputs
            .iter()
            .map(|output| Range {
                offset: output.offset,
                half_range: output.half_range,
            })
            .collect();
        made.response.blob = STANDARD.encode(response);
        made.response.scores = made.decrypt(&descriptor)?;
        Ok(made)
    }

    /// Recreates the vector with the current code, from its seeds and stored response. The result
    /// equals `self` unless something has changed.
    ///
    /// # Errors
    /// Fails if a part of the vector is invalid.
    pub fn again(&self) -> Result<Self> {
        let set = ParameterSet::by_name(&self.set).context("a known set")?;
        let key = ClientKey::secret_from_seed(set, &unhex(&self.secret_key.sampler_seed)?);
        let descriptor = descriptor(&set, self.query.input_step);
        // Copies the vector by way of JSON; recreated fields are overwritten.
        let mut again: Self = serde_json::from_value(serde_json::to_value(self)?)?;
        again.encrypt(key, &descriptor)?;
        again.response.scores = again.decrypt(&descriptor)?;
        Ok(again)
    }

    /// Generates keys and query from the seeds.
    fn encrypt(&mut self, mut key: ClientKey, model: &CheckedDescriptor) -> Result<(EvaluationKey, Vec<u8>)> {
        let generation = key.start_evaluation_key_from(Seeds {
            masks: MaskSeed(unhex(&self.public_key.mask_seed)?),
            sampler: unhex(&self.public_key.sampler_seed)?,
        });
        let (_, blob) = key.finish_evaluation_key(generation);
        let public = EvaluationKey::from_blob(&blob)?;
        self.public_key.id = key.key_id().to_string();
        self.secret_key.blob = STANDARD.encode(&key.to_bytes()[..]);
        let features: Vec<f64> = self.query.levels.iter().map(|&level| f64::from(level)).collect();
        let seeds = Seeds {
            masks: MaskSeed(unhex(&self.query.mask_seed)?),
            sampler: unhex(&self.query.sampler_seed)?,
        };
        let query = key.encrypt_from(model, &features, seeds)?;
        self.query.blob = STANDARD.encode(&query);
        Ok((public, query))
    }

    /// Decrypts the scores of the response with the secret key's blob.
    fn decrypt(&self, model: &CheckedDescriptor) -> Result<Vec<f64>> {
        let key = ClientKey::from_bytes(&STANDARD.decode(&self.secret_key.blob)?)?;
        let query = QueryId::of(&STANDARD.decode(&self.query.blob)?)?;
        let response = STANDARD.decode(&self.response.blob)?;
        Ok(key.decrypt(model, query, &response)?.scores)
    }
}

fn model(set: &ParameterSet) -> (Engine, u64) {
    let small = reproducible([2; 16], FEATURES * OUTPUTS);
    let weights = |output: usize| -> Vec<i64> {
        let row = &small[output * FEATURES..][..FEATURES];
        row.iter().map(|&r| (r % 7) as i64 - 3).collect()
    };
    match *set {
        ParameterSet::Linear(params) => {
            let outputs = (0..OUTPUTS).map(|output| IntegerOutput {
                weights: weights(output),
                intercept: 1 << 55,
            });
            let outputs: Vec<_> = outputs.collect();
            (Engine::Linear(LinearEngine::new(params, &outputs)), 1 << 50)
        }
        ParameterSet::Network(params) if params.key_switch.is_some() => {
            let network = layers(&params, weights);
            let step = network.input_step * u64::from(FINE);
            (
                Engine::Layers(Box::new(LayersEngine::new(params, &network, None))),
                step,
            )
        }
        ParameterSet::Network(params) => {
            let projection = IntegerProjection {
                weights: weights(0),
                bias: 5,
                width: 0.2,
                thresholds: vec![0, 64, -64],
                reads: (0..OUTPUTS as i64).map(|output| vec![output, 1, -2]).collect(),
            };
            let network = IntegerNetwork {
                projections: vec![projection],
                biases: vec![0.0; OUTPUTS],
                range: 400.0,
                max_logit: 6.0,
                max_difference: None,
            };
            let step = network.input_step();
            (
                Engine::Network(Box::new(NetworkEngine::new(params, &network))),
                step,
            )
        }
    }
}

/// Returns a unit for each score, and one that reads them all.
fn layers(params: &NetworkParams, weights: impl Fn(usize) -> Vec<i64>) -> IntegerLayers {
    let half = params.polynomial_size.0 as i32;
    let unit = |layer: usize, features: Vec<i64>, units: Vec<i32>| IntegerUnit {
        layer,
        features,
        units,
        offset: 1 << 62,
        repeats: 1 + layer,
        // A ramp of a sixteenth of the torus.
        table: (0..half).map(|entry| (entry - half / 2) << 15).collect(),
    };
    let mut units: Vec<_> = (0..OUTPUTS)
        .map(|output| {
            unit(
                0,
                [weights(output), weights((output + 1) % OUTPUTS)].concat(),
                Vec::new(),
            )
        })
        .collect();
    units.push(unit(1, Vec::new(), vec![2, -1, 1]));
    let row = |output: usize, factor: i32| {
        let own = (0..OUTPUTS).map(|other| if other == output { 4 } else { 0 });
        own.chain([2]).map(|weight| weight * factor).collect()
    };
    let fine = FINE as i32;
    IntegerLayers {
        features: 2 * FEATURES,
        input_step: 1 << 50,
        units,
        outputs: [1, fine]
            .into_iter()
            .flat_map(|factor| (0..OUTPUTS).map(move |output| row(output, factor)))
            .collect(),
        biases: vec![0; 2 * OUTPUTS],
    }
}

/// Returns whether queries of the set's models have each feature twice, and responses each score.
fn is_twice(set: &ParameterSet) -> bool {
    matches!(set, ParameterSet::Network(params) if params.key_switch.is_some())
}

fn descriptor(set: &ParameterSet, step: u64) -> CheckedDescriptor {
    let output = |index: usize| Output {
        label: index.to_string(),
        offset: 0.25 * index as f64,
        half_range: 3.0,
    };
    let twice = is_twice(set);
    let descriptor = ModelDescriptor {
        name: "vector".into(),
        id: ModelId::of(b"known answers"),
        title: String::new(),
        formats: vec![FORMAT_VERSION],
        parameter_set: set.name().into(),
        inputs: Inputs::uniform(FEATURES, 0.0, f64::from(LEVELS - 1), LEVELS),
        input_step: step,
        outputs: (0..OUTPUTS).map(output).collect(),
        task: Task::Regression,
        classes: None,
        link: Link::Identity,
        members: Vec::new(),
        answer: Answer::Scores,
        fine_features: twice.then_some(FINE),
        fine: twice.then_some(FINE),
        sizes: Sizes::default(),
        score_error: 0.0,
        accuracy: None,
        batch: None,
        version: None,
    };
    descriptor.try_into().expect("a usable descriptor")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Result<[u8; N]> {
    let bytes = (0..N).map(|index| {
        let digits = text.get(2 * index..2 * index + 2).context("too few digits")?;
        Ok(u8::from_str_radix(digits, 16)?)
    });
    let bytes: Vec<u8> = bytes.collect::<Result<_>>()?;
    bytes.try_into().ok().context("too many digits")
}
