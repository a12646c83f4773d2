//! ONNX files written field by field, since no library writes malicious ones.

/// Message of the format, to which fields are added.
#[derive(Clone, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// Adds a numeric field.
    pub(super) fn number(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// Adds a field with text, other bytes or a message.
    pub(super) fn bytes(mut self, field: u64, content: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(content.as_ref().len() as u64);
        self.0.extend(content.as_ref());
        self
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Graph with an input `x` of floats.
#[derive(Clone)]
pub(super) struct Graph(Message);

impl Graph {
    pub(super) fn new(features: u64) -> Self {
        let dimension = |size: Option<u64>| match size {
            Some(size) => Message::default().number(1, size),
            None => Message::default(),
        };
        let shape = Message::default()
            .bytes(1, dimension(None))
            .bytes(1, dimension(Some(features)));
        let tensor = Message::default().number(1, 1).bytes(2, shape);
        let kind = Message::default().bytes(1, tensor);
        Self(Message::default().bytes(11, Message::default().bytes(1, "x").bytes(2, kind)))
    }

    /// Adds a node with integer attributes.
    pub(super) fn node(
        self,
        operator: &str,
        inputs: &[impl AsRef<str>],
        output: &str,
        attributes: &[(&str, u64)],
    ) -> Self {
        let node = inputs
            .iter()
            .fold(Message::default(), |node, input| node.bytes(1, input.as_ref()));
        let node = node.bytes(2, output).bytes(4, operator);
        let node = attributes.iter().fold(node, |node, (name, value)| {
            node.bytes(
                5,
                Message::default().bytes(1, name).number(3, *value).number(20, 2),
            )
        });
        Self(self.0.bytes(1, node))
    }

    /// Adds a part that was encoded elsewhere.
    pub(super) fn part(self, field: u64, part: impl AsRef<[u8]>) -> Self {
        Self(self.0.bytes(field, part))
    }

    /// Adds a tensor of floats, all one.
    pub(super) fn ones(self, name: &str, shape: [u64; 2]) -> Self {
        let count = shape.iter().product::<u64>() as usize;
        let tensor = tensor(name, &shape, 1).bytes(9, 1f32.to_le_bytes().repeat(count));
        self.part(5, tensor)
    }

    /// Adds a tensor of integers, all zero.
    pub(super) fn zeros(self, name: &str, count: usize) -> Self {
        self.part(5, tensor(name, &[count as u64], 7).bytes(9, [0; 8].repeat(count)))
    }

    /// Adds a tensor of doubles in a file beside the model.
    pub(super) fn elsewhere(self, name: &str, shape: [u64; 2], file: &str) -> Self {
        let bytes = 8 * shape.iter().product::<u64>();
        let entry = |key: &str, value: &str| Message::default().bytes(1, key).bytes(2, value);
        let tensor = tensor(name, &shape, 11)
            .bytes(13, entry("location", file))
            .bytes(13, entry("length", &bytes.to_string()))
            .number(14, 1);
        self.part(5, tensor)
    }

    /// Encodes the model with these outputs.
    pub(super) fn model(self, outputs: &[&str]) -> Vec<u8> {
        let graph = outputs.iter().fold(self.0, |graph, output| {
            graph.bytes(12, Message::default().bytes(1, output))
        });
        let import = |domain: &str, version| Message::default().bytes(1, domain).number(2, version);
        Message::default()
            .number(1, 8)
            .bytes(8, import("", 17))
            .bytes(8, import("ai.onnx.ml", 3))
            .bytes(7, graph)
            .0
    }
}

fn tensor(name: &str, shape: &[u64], kind: u64) -> Message {
    let tensor = shape
        .iter()
        .fold(Message::default(), |tensor, size| tensor.number(1, *size));
    tensor.number(2, kind).bytes(8, name)
}
