//! Model files (safetensors), as read by `serve` and `import`.

use crate::samples::middle;
use blindscore_engine::model::{LinearModel, Model, Salt};
use blindscore_import::{Naming, Network};

pub(crate) fn run(data: &[u8]) {
    if let Ok(model) = Model::from_safetensors(data) {
        let descriptor = model.descriptor();
        let features = middle(&descriptor.inputs);
        let scores = model.plain_scores(&features);
        assert_eq!(scores.len(), descriptor.outputs.len());
        let _ = model.deviations(&features);
    }
    if let Ok(linear) = LinearModel::from_safetensors(data) {
        let written = linear.to_safetensors().expect("a model file");
        LinearModel::from_safetensors(&written).expect("what is written can be read");
    }
    let _ = blindscore_import::read_safetensors(data);
    let _ = blindscore_import::read_json(data);
    let salt = Salt::none();
    let naming = Naming {
        name: &"fuzzed".parse().expect("a name"),
        title: None,
        labels: None,
        salt: &salt,
        label: None,
    };
    if Network::is_in(data)
        && let Ok(network) = Network::read(data, &naming)
    {
        assert_eq!(network.model.descriptor().name, "fuzzed");
    }
}
