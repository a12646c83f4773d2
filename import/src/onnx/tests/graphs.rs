//! Builder of test graphs, node by node.

use crate::onnx::proto::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto,
    attribute_proto::AttributeType,
    tensor_proto::DataType,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};
use prost::Message;

/// A graph under construction.
#[derive(Clone, Default)]
pub(super) struct Builder(GraphProto, String);

impl Builder {
    /// Creates a graph with one input `x` of floats.
    pub(super) fn new(columns: i64) -> Self {
        Self::default().input("x", columns, DataType::Float)
    }

    /// Creates a graph with one input `x` of whole numbers.
    pub(super) fn whole(columns: i64) -> Self {
        Self::default().input("x", columns, DataType::Int64)
    }

    /// Creates a graph of `x` `[rows, 2]` and `z` `[rows, outputs]`, its product with `W`.
    pub(super) fn scores(outputs: usize) -> Self {
        let weights: Vec<f32> = (0..2 * outputs)
            .map(|index| [1.0, -0.5, 0.25, 2.0, -1.0, 0.75][index])
            .collect();
        Self::new(2)
            .floats("W", &[2, outputs as i64], &weights)
            .node(node("MatMul", &["x", "W"], &["z"]))
    }

    /// Creates a graph with `price = x0 + 2 x1` and `rent = -5 x0 + 0.5 x1`.
    pub(super) fn two_heads() -> Self {
        Self::new(2)
            .floats("A", &[2, 1], &[1.0, 2.0])
            .floats("B", &[2, 1], &[-5.0, 0.5])
            .node(node("MatMul", &["x", "A"], &["price"]))
            .node(node("MatMul", &["x", "B"], &["rent"]))
            .output("price")
            .output("rent")
    }

    pub(super) fn input(mut self, name: &str, columns: i64, kind: DataType) -> Self {
        let dimension = |value| Dimension { value };
        let shape = TensorShapeProto {
            dim: vec![
                dimension(None),
                dimension(Some(dimension::Value::DimValue(columns))),
            ],
        };
        self.0.input.push(ValueInfoProto {
            name: name.into(),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: kind as i32,
                    shape: Some(shape),
                })),
            }),
        });
        self
    }

    /// Gives the last input more axes after that of the rows.
    pub(super) fn of_axes(mut self, sizes: &[i64]) -> Self {
        if let Some(type_proto::Value::TensorType(tensor)) = self
            .0
            .input
            .last_mut()
            .and_then(|input| input.r#type.as_mut()?.value.as_mut())
            && let Some(shape) = &mut tensor.shape
        {
            shape.dim.truncate(1);
            let size = |size: &i64| Dimension {
                value: Some(dimension::Value::DimValue(*size)),
            };
            shape.dim.extend(sizes.iter().map(size));
        }
        self
    }

    /// Fixes the number of rows of all inputs.
    pub(super) fn of_rows(mut self, rows: i64) -> Self {
        for input in &mut self.0.input {
            if let Some(type_proto::Value::TensorType(tensor)) =
                input.r#type.as_mut().and_then(|kind| kind.value.as_mut())
                && let Some(shape) = &mut tensor.shape
            {
                shape.dim[0].value = Some(dimension::Value::DimValue(rows));
            }
        }
        self
    }

    pub(super) fn output(mut self, name: &str) -> Self {
        self.0.output.push(ValueInfoProto {
            name: name.into(),
            ..ValueInfoProto::default()
        });
        self
    }

    pub(super) fn without_outputs(mut self) -> Self {
        self.0.output.clear();
        self
    }

    /// Gives a constant another shape.
    pub(super) fn replaced(mut self, name: &str, shape: &[i64]) -> Self {
        for tensor in self.0.initializer.iter_mut().filter(|tensor| tensor.name == name) {
            tensor.dims = shape.to_vec();
        }
        self
    }

    pub(super) fn floats(mut self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        self.0.initializer.push(TensorProto {
            name: name.into(),
            dims: shape.to_vec(),
            data_type: DataType::Float as i32,
            float_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub(super) fn doubles(mut self, name: &str, shape: &[i64], values: &[f64]) -> Self {
        self.0.initializer.push(TensorProto {
            name: name.into(),
            dims: shape.to_vec(),
            data_type: DataType::Double as i32,
            double_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub(super) fn ints(mut self, name: &str, values: &[i64]) -> Self {
        self.0.initializer.push(TensorProto {
            name: name.into(),
            dims: vec![values.len() as i64],
            data_type: DataType::Int64 as i32,
            int64_data: values.to_vec(),
            ..TensorProto::default()
        });
        self
    }

    pub(super) fn node(mut self, node: Node) -> Self {
        self.0.node.push(node.0);
        self
    }

    /// Names the program that wrote the file.
    pub(super) fn by(mut self, producer: &str) -> Self {
        self.1 = producer.into();
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let import = |domain: &str, version| OperatorSetIdProto {
            domain: domain.into(),
            version,
        };
        let model = ModelProto {
            ir_version: 8,
            opset_import: vec![import("", 17), import("ai.onnx.ml", 1)],
            producer_name: self.1.clone(),
            graph: Some(self.0.clone()),
            ..ModelProto::default()
        };
        model.encode_to_vec()
    }
}

/// A node under construction.
#[derive(Clone)]
pub(super) struct Node(NodeProto);

pub(super) fn node(operator: &str, inputs: &[&str], outputs: &[&str]) -> Node {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    Node(NodeProto {
        op_type: operator.into(),
        input: names(inputs),
        output: names(outputs),
        ..NodeProto::default()
    })
}

impl Node {
    /// Moves the node to the domain `ai.onnx.ml`.
    pub(super) fn learning(mut self) -> Self {
        self.0.domain = "ai.onnx.ml".into();
        self
    }

    pub(super) fn int(self, name: &str, value: i64) -> Self {
        self.with(name, AttributeType::Int, |attribute| attribute.i = value)
    }

    pub(super) fn float(self, name: &str, value: f32) -> Self {
        self.with(name, AttributeType::Float, |attribute| attribute.f = value)
    }

    pub(super) fn ints(self, name: &str, values: &[i64]) -> Self {
        self.with(name, AttributeType::Ints, |attribute| {
            attribute.ints = values.to_vec()
        })
    }

    pub(super) fn floats(self, name: &str, values: &[f32]) -> Self {
        self.with(name, AttributeType::Floats, |attribute| {
            attribute.floats = values.to_vec()
        })
    }

    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.with(name, AttributeType::String, |attribute| {
            attribute.s = value.into()
        })
    }

    pub(super) fn texts(self, name: &str, values: &[&str]) -> Self {
        self.with(name, AttributeType::Strings, |attribute| {
            attribute.strings = values.iter().map(|value| value.as_bytes().to_vec()).collect();
        })
    }

    fn with(mut self, name: &str, kind: AttributeType, set: impl FnOnce(&mut AttributeProto)) -> Self {
        let mut attribute = AttributeProto {
            name: name.into(),
            r#type: kind as i32,
            ..AttributeProto::default()
        };
        set(&mut attribute);
        self.0.attribute.push(attribute);
        self
    }
}
