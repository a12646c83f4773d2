//! Import of trained projection networks (`models/net`): nothing is left to choose, but they get a
//! name and pass the checks of serving.

use super::ImportError;
use blindscore_engine::model::{Model, ModelError, Salt, is_network, tensors};
use blindscore_protocol::{
    descriptor::{Answer, Link, Task},
    name::ModelName,
};
use safetensors::SafeTensors;
use serde_json::{Map, Value};

/// A network that is ready to be written and served.
pub struct Network {
    /// Model to serve.
    pub model: Model,
    /// Content of the model file.
    pub content: Vec<u8>,
}

/// New name of a network, and its other new metadata.
pub struct Naming<'a> {
    /// Name in addresses.
    pub name: &'a ModelName,
    /// Human-readable title of one line; by default the file's, or else the name.
    pub title: Option<&'a str>,
    /// One label per output; by default the file's.
    pub labels: Option<&'a [String]>,
    /// Salt of the id.
    pub salt: &'a Salt,
    /// Largest difference of two logits, or the largest one if there is only one, of a network of
    /// which only the label is sent.
    pub label: Option<f64>,
}

impl Network {
    /// Returns whether a file holds a network rather than a linear model.
    pub fn is_in(bytes: &[u8]) -> bool {
        tensors(bytes).is_ok_and(|tensors| is_network(&tensors))
    }

    /// Names and checks a network. Its tensors stay the same, byte for byte.
    ///
    /// # Errors
    /// If the file holds no network, or the network can't be served.
    pub fn read(bytes: &[u8], naming: &Naming<'_>) -> Result<Self, ImportError> {
        let content = renamed(bytes, naming)?;
        let model = Model::from_safetensors(&content)?;
        Ok(Self { model, content })
    }
}

/// Returns the file with new strings in its header. They are sorted, so that the same network
/// always gives the same file.
fn renamed(bytes: &[u8], naming: &Naming<'_>) -> Result<Vec<u8>, ModelError> {
    const LENGTH: usize = size_of::<u64>();
    tensors(bytes)?;
    let (header_len, _) = SafeTensors::read_metadata(bytes)?;
    let (header, data) = bytes[LENGTH..].split_at(header_len);
    let mut header: Map<String, Value> =
        serde_json::from_slice(header).map_err(safetensors::SafeTensorError::InvalidHeaderDeserialization)?;
    let strings = header
        .entry("__metadata__")
        .or_insert_with(|| Map::new().into())
        .as_object_mut();
    if let Some(strings) = strings {
        strings.insert("name".into(), naming.name.as_str().into());
        if *naming.salt != Salt::none() {
            strings.insert(Salt::ENTRY.into(), naming.salt.as_str().into());
        }
        if let Some(title) = naming.title {
            strings.insert("title".into(), title.into());
        }
        strings
            .entry("title")
            .or_insert_with(|| naming.name.as_str().into());
        if let Some(labels) = naming.labels {
            strings.insert("labels".into(), Value::from(labels.to_vec()).to_string().into());
        }
        if let Some(difference) = naming.label {
            let entries = [
                ("answer", Answer::Label.name().to_owned()),
                ("max_difference", difference.to_string()),
                ("task", Task::Classification.name().to_owned()),
                // Bits have no probabilities.
                ("link", Link::Identity.name().to_owned()),
            ];
            strings.extend(entries.map(|(name, text)| (name.to_owned(), text.into())));
        }
    }
    let mut header = Value::from(header).to_string().into_bytes();
    // Tensors start at a multiple of eight bytes.
    header.resize(header.len().next_multiple_of(LENGTH), b' ');
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length, &*header, data].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &[u8] = blindscore_models::MNIST_NET_SMALL;

    static NONE: Salt = Salt::none();

    fn name(text: &str) -> ModelName {
        text.parse().unwrap()
    }

    fn naming(name: &ModelName) -> Naming<'_> {
        Naming {
            name,
            title: None,
            labels: None,
            salt: &NONE,
            label: None,
        }
    }

    #[test]
    fn a_network_gets_its_name_and_keeps_its_tensors() {
        let labels: Vec<String> = ('a'..='j').map(String::from).collect();
        let (letters, small) = (name("letters"), name("small"));
        let named = Naming {
            title: Some("Ten letters"),
            labels: Some(&labels),
            ..naming(&letters)
        };
        let network = Network::read(SMALL, &named).unwrap();
        let descriptor = network.model.descriptor();
        assert_eq!(
            (&*descriptor.name, &*descriptor.title),
            ("letters", "Ten letters")
        );
        assert!(descriptor.outputs.iter().map(|output| &output.label).eq(&labels));
        let (before, after) = (
            SafeTensors::deserialize(SMALL).unwrap(),
            SafeTensors::deserialize(&network.content).unwrap(),
        );
        assert_eq!(before.len(), after.len());
        for (name, tensor) in before.tensors() {
            assert_eq!(after.tensor(&name).unwrap(), tensor, "{name}");
        }
        let again = Network::read(SMALL, &named).unwrap();
        assert_eq!(again.content, network.content);
        let kept = Network::read(SMALL, &naming(&small)).unwrap();
        assert_eq!(
            kept.model.descriptor().title,
            "Handwritten digits, small neural network"
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let refusal = |bytes: &[u8], naming: &Naming<'_>| {
            Network::read(bytes, naming).err().expect("refused").to_string()
        };
        let two = ["a".to_owned(), "b".to_owned()];
        let (few, cut) = (name("few"), name("cut"));
        let few = Naming {
            labels: Some(&two),
            ..naming(&few)
        };
        assert!(refusal(SMALL, &few).contains("2 labels for 10 outputs"));
        for length in [0, 7, 8, 100, SMALL.len() - 1] {
            assert!(!Network::is_in(&SMALL[..length]));
            assert!(refusal(&SMALL[..length], &naming(&cut)).contains("not a safetensors file"));
        }
        assert!(Network::is_in(SMALL));
    }
}
