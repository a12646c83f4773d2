//! Memory that a decoded ONNX file takes, counted on its bytes: two bytes may become a thousand in
//! memory.

use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, SparseTensorProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto::Dimension, type_proto,
};
use crate::{
    ImportError,
    bounds::{MOST_DECODED, MOST_NODES, megabytes},
};

/// Refuses a file that would take too much memory.
///
/// # Errors
/// If it would, or its bytes are not well-formed messages.
pub(super) fn check(bytes: &[u8]) -> Result<(), ImportError> {
    let mut counted = Counted { memory: 0, nodes: 0 };
    counted.message(Message::Model, bytes)
}

/// Messages of the ONNX format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    ValueInfo,
    Type,
    TensorType,
    Shape,
    Dimension,
    Entry,
    OperatorSet,
}

/// Content of a length-delimited field.
enum Field {
    Message(Message),
    /// Variable-length integers, which take eight bytes in memory.
    Integers,
    /// Floats, which take as many bytes in memory.
    Floats,
    /// Text or other bytes.
    Bytes,
}

impl Message {
    /// Returns the content of the field with a number.
    const fn field(self, number: u64) -> Field {
        Field::Message(match (self, number) {
            (Self::Model, 7) => Self::Graph,
            (Self::Tensor, 13) => Self::Entry,
            (Self::Model, 8) => Self::OperatorSet,
            (Self::Graph, 1) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5) | (Self::SparseTensor, 1) => Self::Tensor,
            (Self::Graph, 15) => Self::SparseTensor,
            (Self::Graph, 11 | 12) => Self::ValueInfo,
            (Self::Node, 5) => Self::Attribute,
            (Self::ValueInfo, 2) => Self::Type,
            (Self::Type, 1) => Self::TensorType,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Shape, 1) => Self::Dimension,
            (Self::Tensor, 1 | 5 | 7) | (Self::Attribute, 8) => return Field::Integers,
            (Self::Tensor, 4 | 10) | (Self::Attribute, 7) => return Field::Floats,
            _ => return Field::Bytes,
        })
    }

    const fn size(self) -> usize {
        match self {
            Self::Model => size_of::<ModelProto>(),
            Self::Graph => size_of::<GraphProto>(),
            Self::Node => size_of::<NodeProto>(),
            Self::Attribute => size_of::<AttributeProto>(),
            Self::Tensor => size_of::<TensorProto>(),
            Self::SparseTensor => size_of::<SparseTensorProto>(),
            Self::ValueInfo => size_of::<ValueInfoProto>(),
            Self::Type => size_of::<TypeProto>(),
            Self::TensorType => size_of::<type_proto::Tensor>(),
            Self::Shape => size_of::<TensorShapeProto>(),
            Self::Dimension => size_of::<Dimension>(),
            Self::Entry => size_of::<StringStringEntryProto>(),
            Self::OperatorSet => size_of::<OperatorSetIdProto>(),
        }
    }
}

struct Counted {
    memory: u64,
    nodes: usize,
}

impl Counted {
    /// Counts a message. No message can contain another of its kind, so that the depth is bounded.
    fn message(&mut self, message: Message, bytes: &[u8]) -> Result<(), ImportError> {
        if message == Message::Node {
            self.nodes += 1;
            if self.nodes > MOST_NODES {
                return refuse(format!("the model has more than {MOST_NODES} nodes, the limit"));
            }
        }
        self.take(message.size(), 2)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let key = varint(&mut rest)?;
            // The low three bits are the field's wire type.
            match key & 7 {
                0 => {
                    varint(&mut rest)?;
                    self.take(size_of::<u64>(), 2)?;
                }
                kind @ (1 | 5) => {
                    let length = if kind == 1 { 8 } else { 4 };
                    rest = rest.get(length..).ok_or_else(cut)?;
                    self.take(length, 2)?;
                }
                2 => {
                    let length = varint(&mut rest)?;
                    let field = usize::try_from(length)
                        .ok()
                        .and_then(|length| rest.split_at_checked(length));
                    let (field, after) = field.ok_or_else(cut)?;
                    rest = after;
                    self.field(message.field(key >> 3), field)?;
                }
                _ => return Err(ImportError::NotOnnx("it is damaged, or something else".into())),
            }
        }
        Ok(())
    }

    fn field(&mut self, kind: Field, bytes: &[u8]) -> Result<(), ImportError> {
        match kind {
            Field::Message(message) => self.message(message, bytes),
            // Only the last byte of a varint has no continuation bit.
            Field::Integers => self.take(bytes.iter().filter(|byte| **byte < 0x80).count(), 2 * 8),
            Field::Floats => self.take(bytes.len(), 2),
            Field::Bytes => {
                self.take(size_of::<Vec<u8>>(), 2)?;
                self.take(bytes.len(), 1)
            }
        }
    }

    /// Adds `bytes` to the memory, `times` over: a growing list may have room for twice its
    /// content.
    fn take(&mut self, bytes: usize, times: u64) -> Result<(), ImportError> {
        self.memory = self.memory.saturating_add((bytes as u64).saturating_mul(times));
        if self.memory > MOST_DECODED {
            return refuse(format!(
                "the file's parts would take more than {} of memory, the limit",
                megabytes(MOST_DECODED)
            ));
        }
        Ok(())
    }
}

fn refuse<T>(words: String) -> Result<T, ImportError> {
    Err(ImportError::Graph(words))
}

fn cut() -> ImportError {
    ImportError::NotOnnx("it is cut off, or something else".into())
}

/// Reads a variable-length integer.
fn varint(bytes: &mut &[u8]) -> Result<u64, ImportError> {
    let mut value = 0;
    for (place, &byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            *bytes = &bytes[place + 1..];
            return Ok(value);
        }
    }
    Err(cut())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    /// Encodes a field of bytes, or a message.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2];
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn files_of_many_small_parts_are_refused_before_they_are_decoded() {
        let many = |part: &[u8], count: usize| field(7, &part.repeat(count));
        let attributes = field(7, &field(1, &field(5, b"").repeat(1_000_000)));
        for (bytes, words) in [
            (many(&field(1, b""), MOST_NODES + 1), "nodes"),
            (many(&field(5, b""), 2_000_000), "of memory"),
            (attributes, "of memory"),
            (many(&field(5, &field(7, &[0; 40_000_000])), 1), "of memory"),
            (vec![0x3a, 5, 1], "cut off"),
            (vec![0x3b], "damaged"),
            (vec![0xff; 20], "cut off"),
        ] {
            let error = check(&bytes).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn what_is_counted_is_at_least_what_is_decoded() {
        let model = include_bytes!("../../../tests/fixtures/models/breast-cancer-frame/model.onnx");
        check(model).unwrap();
        let mut counted = Counted { memory: 0, nodes: 0 };
        counted.message(Message::Model, model).unwrap();
        let graph = ModelProto::decode(&model[..]).unwrap().graph.unwrap();
        assert_eq!(counted.nodes, graph.node.len());
        let attributes: usize = graph.node.iter().map(|node| node.attribute.len()).sum();
        let least = graph.node.len() * size_of::<NodeProto>()
            + attributes * size_of::<AttributeProto>()
            + graph.input.len() * (size_of::<ValueInfoProto>() + size_of::<TensorShapeProto>())
            + graph.initializer.len() * size_of::<TensorProto>();
        assert!(counted.memory >= least as u64);
    }
}
