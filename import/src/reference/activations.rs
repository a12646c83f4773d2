//! Functions between the layers of networks, number by number.

use super::{NotRun, learning::text, not_run, standard::attribute, tensor::Tensor};
use crate::onnx::proto::NodeProto;

/// Runs such a function of one tensor; `None` if the node is another one.
pub(super) fn run(node: &NodeProto, tensor: &Tensor) -> Result<Option<Tensor>, NotRun> {
    let number = |name: &str, default: f64| {
        let default = f64::from(default as f32);
        attribute(node, name).map_or(default, |attribute| f64::from(attribute.f))
    };
    let map = |function: &dyn Fn(f64) -> f64| tensor.map(tensor.kind(), function).map(Some);
    match node.op_type.as_str() {
        "Relu" => map(&|x| x.max(0.0)),
        "LeakyRelu" => {
            let alpha = number("alpha", 0.01);
            map(&|x| if x < 0.0 { alpha * x } else { x })
        }
        "Elu" => {
            let alpha = number("alpha", 1.0);
            map(&|x| if x < 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Selu" => {
            let (alpha, gamma) = (
                number("alpha", 1.673_263_192_176_818_8),
                number("gamma", 1.050_701_022_148_132_3),
            );
            map(&|x| gamma * if x < 0.0 { alpha * x.exp_m1() } else { x })
        }
        "Celu" => {
            let alpha = number("alpha", 1.0);
            map(&|x| x.max(0.0) + (alpha * (x / alpha).exp_m1()).min(0.0))
        }
        "Gelu" => match text(node, "approximate").as_deref() {
            None | Some("none") => map(&|x| 0.5 * x * (1.0 + libm::erf(x / 2f64.sqrt()))),
            Some("tanh") => map(&|x| {
                let scale = (2.0 / std::f64::consts::PI).sqrt();
                0.5 * x * (1.0 + (scale * (x + 0.044715 * x * x * x)).tanh())
            }),
            Some(other) => not_run(format!("approximate {other:?}")),
        },
        "Swish" => {
            let alpha = number("alpha", 1.0);
            map(&|x| x / (1.0 + (-alpha * x).exp()))
        }
        "HardSigmoid" => {
            let (alpha, beta) = (number("alpha", 0.2), number("beta", 0.5));
            map(&|x| (alpha * x + beta).clamp(0.0, 1.0))
        }
        "HardSwish" => map(&|x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        "Tanh" => map(&f64::tanh),
        "Softplus" => map(&softplus),
        "Softsign" => map(&|x| x / (1.0 + x.abs())),
        "Mish" => map(&|x| x * softplus(x).tanh()),
        "ThresholdedRelu" => {
            let alpha = number("alpha", 1.0);
            map(&|x| if x > alpha { x } else { 0.0 })
        }
        "Shrink" => {
            let (lambda, bias) = (number("lambd", 0.5), number("bias", 0.0));
            map(&|x| {
                if x < -lambda {
                    x + bias
                } else if x > lambda {
                    x - bias
                } else {
                    0.0
                }
            })
        }
        "Atan" => map(&f64::atan),
        "Cos" => map(&f64::cos),
        "Erf" => map(&libm::erf),
        "Sin" => map(&f64::sin),
        _ => Ok(None),
    }
}

fn softplus(x: f64) -> f64 {
    if x > 0.0 {
        x + (-x).exp().ln_1p()
    } else {
        x.exp().ln_1p()
    }
}
