//! Keys, queries and responses of honest clients and servers, for each parameter set.

use blindscore_client::{ClientKey, Scores};
use blindscore_engine::{
    PreparedKey,
    model::{LinearModel, Model, Salt},
};
use blindscore_import::{Naming, Network};
use blindscore_protocol::{
    descriptor::{self, Inputs, Link, Task},
    params::{LinearParams, NetworkParams, ParameterSet},
    wire::{EvaluationKey, Query, QueryId},
};
use std::sync::LazyLock;

/// A model with a key, a query and its response.
pub(crate) struct Sample {
    pub(crate) model: Model,
    /// The model's file, empty for networks.
    pub(crate) file: Vec<u8>,
    pub(crate) key: ClientKey,
    pub(crate) public: Vec<u8>,
    pub(crate) prepared: PreparedKey,
    pub(crate) query: Vec<u8>,
    pub(crate) response: Vec<u8>,
}

/// One sample for each of [`ParameterSet::ALL`].
pub(crate) static SAMPLES: LazyLock<[Sample; ParameterSet::ALL.len()]> =
    LazyLock::new(|| ParameterSet::ALL.map(Sample::new));

/// Creates all samples.
pub(crate) fn prepare() {
    LazyLock::force(&SAMPLES);
}

/// Returns the sample of the parameter set that most models use.
pub(crate) fn usual() -> &'static Sample {
    &SAMPLES[0]
}

const NETWORK: &[u8] = include_bytes!("../../tests/fixtures/models/digits-net/model.safetensors");
/// Two layers of a unit each, for two features.
const LAYERS: &[u8] = include_bytes!("../seeds/model/layers.safetensors");
/// Largest difference of the network's logits, about as large as on its rows.
const LARGEST_DIFFERENCE: f64 = 100.0;
const TREES: &[u8] = include_bytes!("../../models/loans/loan-trees.safetensors");

impl Sample {
    fn new(set: ParameterSet) -> Self {
        let (model, file) = match set {
            ParameterSet::Linear(params) => linear(params),
            ParameterSet::Network(params) if params == NetworkParams::N704_K2 => (trees(), Vec::new()),
            ParameterSet::Network(params) if params == NetworkParams::N832_K2 => (layers(), Vec::new()),
            ParameterSet::Network(params) if params == NetworkParams::N704_K4_SWITCH => {
                (network(Some(LARGEST_DIFFERENCE)), Vec::new())
            }
            ParameterSet::Network(_) => (network(None), Vec::new()),
        };
        let (key, public) = ClientKey::generate(set).expect("randomness");
        let descriptor = model.descriptor();
        let query = key
            .encrypt(descriptor, &middle(&descriptor.inputs))
            .expect("a query");
        let mut sample = Self {
            prepared: PreparedKey::new(&public),
            public: public.to_blob().0,
            response: Vec::new(),
            model,
            file,
            key,
            query,
        };
        sample.response = sample.score(&sample.read_query());
        sample.decrypt(&sample.response).expect("a score");
        sample
    }

    fn read_query(&self) -> Query {
        let features = self.descriptor().sent_features();
        Query::from_blob(&self.query, self.model.parameters().query_format(), features).expect("a good query")
    }

    pub(crate) fn descriptor(&self) -> &descriptor::CheckedDescriptor {
        self.model.descriptor()
    }

    pub(crate) fn score(&self, query: &Query) -> Vec<u8> {
        let response = self.model.engine().score(query, &self.prepared);
        response.expect("the key is of the model's set").to_blob()
    }

    pub(crate) fn decrypt(&self, response: &[u8]) -> Result<Scores, blindscore_client::ClientError> {
        let query = QueryId::of(&self.query).expect("a good query");
        self.key.decrypt(self.descriptor(), query, response)
    }

    /// Scores the sample's query with another public key.
    pub(crate) fn score_with(&self, key: &EvaluationKey) {
        let prepared = PreparedKey::new(key);
        let response = self.model.engine().score(&self.read_query(), &prepared);
        let blob = response.expect("the key is of the model's set").to_blob();
        // The wrong key gives wrong scores, but they are numbers.
        self.decrypt(&blob)
            .expect("a response is whole, whatever the key");
    }
}

/// Returns the middle of all ranges.
pub(crate) fn middle(inputs: &Inputs) -> Vec<f64> {
    (0..inputs.count)
        .map(|index| inputs.range(index))
        .map(|(min, max)| min / 2.0 + max / 2.0)
        .collect()
}

fn linear(params: LinearParams) -> (Model, Vec<u8>) {
    let model = LinearModel {
        params,
        salt: Salt::none(),
        name: "toy".parse().expect("a name"),
        title: "A toy".into(),
        inputs: Inputs::uniform(3, 0.0, 9.0, 10),
        labels: ["red", "green", "blue"].map(str::to_owned).to_vec(),
        task: Task::Classification,
        classes: None,
        link: Link::Softmax,
        members: Vec::new(),
        input_rounding: true,
        accuracy: None,
        coef: vec![vec![1.0, 0.5, -0.3], vec![-1.0, 0.2, 0.4], vec![0.1, -0.7, 0.6]],
        intercept: vec![1.0, 0.5, -0.3],
    };
    let file = model.to_safetensors().expect("a model file");
    (Model::from_safetensors(&file).expect("a good model"), file)
}

fn trees() -> Model {
    Model::from_safetensors(TREES).expect("good trees")
}

fn layers() -> Model {
    Model::from_safetensors(LAYERS).expect("a good network of several layers")
}

/// Returns a network, of which only the label is sent if this is the largest difference of its
/// logits.
fn network(label: Option<f64>) -> Model {
    let naming = Naming {
        name: &"net".parse().expect("a name"),
        title: None,
        labels: None,
        salt: &Salt::none(),
        label,
    };
    Network::read(NETWORK, &naming).expect("a good network").model
}
