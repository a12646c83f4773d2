//! Activations of networks, by themselves and of several operators.

use super::*;

/// A network with one hidden layer, of three units of four columns, by which `between` goes from
/// `z` to `h`.
fn between(add: impl Fn(Net) -> Net) -> Net {
    add(Net::new(4).layer("x", "z", [4, 3]))
        .layer("h", "y", [3, 2])
        .output("y")
}

#[test]
fn activations_have_the_values_of_their_operators() {
    let nodes = [
        node("Relu", &["z"], &["h"]),
        node("LeakyRelu", &["z"], &["h"]),
        node("LeakyRelu", &["z"], &["h"]).float("alpha", 1.5),
        node("Elu", &["z"], &["h"]).float("alpha", 0.7),
        node("Selu", &["z"], &["h"]),
        node("Celu", &["z"], &["h"]).float("alpha", 0.6),
        node("Gelu", &["z"], &["h"]),
        node("Gelu", &["z"], &["h"]).text("approximate", "tanh"),
        node("Sigmoid", &["z"], &["h"]),
        node("HardSigmoid", &["z"], &["h"]),
        node("HardSwish", &["z"], &["h"]),
        node("Tanh", &["z"], &["h"]),
        node("Softplus", &["z"], &["h"]),
        node("Softsign", &["z"], &["h"]),
        node("Mish", &["z"], &["h"]),
        node("Swish", &["z"], &["h"]).float("alpha", 1.7),
        node("ThresholdedRelu", &["z"], &["h"]).float("alpha", 0.3),
        node("Shrink", &["z"], &["h"])
            .float("bias", 0.2)
            .float("lambd", 0.4),
        node("Atan", &["z"], &["h"]),
        node("Cos", &["z"], &["h"]),
        node("Erf", &["z"], &["h"]),
        node("Sin", &["z"], &["h"]),
        node("Clip", &["z"], &["h"]).float("min", 0.0).float("max", 0.8),
        node("Exp", &["z"], &["h"]),
        node("Abs", &["z"], &["h"]),
    ];
    for node in nodes {
        let network = between(|net| net.with(node.clone())).agreed();
        assert_eq!(widths(&network), [3]);
    }
}

#[test]
fn activations_of_several_operators_are_one_function() {
    let gelu = |net: Net| {
        net.constant("root", &[], &[2f32.sqrt()])
            .constant("one", &[], &[1.0])
            .constant("half", &[], &[0.5])
            .node("Div", &["z", "root"], "d")
            .node("Erf", &["d"], "e")
            .node("Add", &["e", "one"], "a")
            .node("Mul", &["z", "a"], "m")
            .node("Mul", &["m", "half"], "h")
    };
    let silu = |net: Net| net.node("Sigmoid", &["z"], "s").node("Mul", &["z", "s"], "h");
    let softplus = |net: Net| {
        net.constant("one", &[], &[1.0])
            .node("Exp", &["z"], "e")
            .node("Add", &["e", "one"], "a")
            .node("Log", &["a"], "h")
    };
    let hard_swish = |net: Net| {
        net.constant("three", &[], &[3.0])
            .constant("six", &[], &[6.0])
            .constant("zero", &[], &[0.0])
            .node("Add", &["z", "three"], "a")
            .node("Clip", &["a", "zero", "six"], "c")
            .node("Div", &["c", "six"], "d")
            .node("Mul", &["z", "d"], "h")
    };
    let gelu_by_tanh = |net: Net| {
        net.constant("three", &[], &[3.0])
            .constant("k", &[], &[0.044_715])
            .constant("r", &[], &[0.797_884_6])
            .constant("one", &[], &[1.0])
            .constant("half", &[], &[0.5])
            .node("Mul", &["z", "half"], "n")
            .node("Pow", &["z", "three"], "p")
            .node("Mul", &["p", "k"], "q")
            .node("Add", &["z", "q"], "a")
            .node("Mul", &["a", "r"], "s")
            .node("Tanh", &["s"], "t")
            .node("Add", &["t", "one"], "u")
            .node("Mul", &["n", "u"], "h")
    };
    let square = |net: Net| net.node("Mul", &["z", "z"], "h");
    let centred = |net: Net| {
        net.constant("half", &[], &[0.5])
            .node("Sigmoid", &["z"], "s")
            .node("Sub", &["s", "half"], "h")
    };
    let largest = |net: Net| net.node("Neg", &["z"], "n").node("Max", &["z", "n"], "h");
    let soft_shrink = |net: Net| {
        net.constant("high", &[], &[0.25])
            .constant("low", &[], &[-0.25])
            .constant("zero", &[], &[0.0])
            .node("Greater", &["z", "high"], "g")
            .node("Less", &["z", "low"], "l")
            .node("Or", &["g", "l"], "o")
            .node("Sub", &["z", "high"], "s")
            .node("Add", &["z", "high"], "a")
            .node("Where", &["g", "s", "a"], "w")
            .node("Where", &["o", "w", "zero"], "h")
    };
    let chosen = |net: Net| {
        net.constant("tenth", &[], &[0.1])
            .node("Mul", &["z", "tenth"], "m")
            .node("GreaterOrEqual", &["z", "m"], "g")
            .node("Where", &["g", "z", "m"], "h")
    };
    let slopes = |net: Net| {
        net.constant("slope", &[3], &[0.1, -0.2, 1.3])
            .node("PRelu", &["z", "slope"], "h")
    };
    let all: [&dyn Fn(Net) -> Net; 11] = [
        &gelu,
        &silu,
        &softplus,
        &hard_swish,
        &gelu_by_tanh,
        &square,
        &centred,
        &largest,
        &soft_shrink,
        &chosen,
        &slopes,
    ];
    for add in all {
        let network = between(add).agreed();
        assert_eq!(widths(&network), [3]);
    }
    let network = between(slopes).agreed();
    assert_ne!(network.units[0].curve, network.units[1].curve);
}

#[test]
fn batch_normalisation_around_an_activation_is_folded_in() {
    let normalised = |net: Net, input: &str, output: &str| {
        let name = |what: &str| format!("{what}_{output}");
        let [gain, bias, mean, variance] = ["gain", "bias", "mean", "variance"].map(name);
        net.constant(&gain, &[3], &[0.5, -2.0, 1.5])
            .constant(&bias, &[3], &[0.1, 0.2, -0.3])
            .constant(&mean, &[3], &[1.0, -0.5, 0.25])
            .constant(&variance, &[3], &[0.5, 2.0, 1.0])
            .node(
                "BatchNormalization",
                &[input, &gain, &bias, &mean, &variance],
                output,
            )
    };
    let before = between(|net| normalised(net, "z", "n").node("Relu", &["n"], "h"));
    let after = between(|net| normalised(net.node("Relu", &["z"], "n"), "n", "h"));
    for net in [before, after] {
        assert_eq!(widths(&net.agreed()), [3]);
    }
}

#[test]
fn networks_may_end_in_an_activation() {
    let ends: [(&str, Link); 5] = [
        ("Tanh", Link::Identity),
        ("Relu", Link::Identity),
        ("Sigmoid", Link::Sigmoid),
        ("Softmax", Link::Softmax),
        ("Exp", Link::Exp),
    ];
    for (operator, link) in ends {
        let hidden = || Net::new(3).layer("x", "z", [3, 4]).node("Relu", &["z"], "h");
        let net = hidden()
            .layer("h", "y", [4, 2])
            .node(operator, &["y"], "p")
            .output("p");
        let network = net.agreed();
        assert_eq!(network.fitted.link, link, "{operator}");
        let units = if ["Tanh", "Relu"].contains(&operator) {
            vec![4, 2]
        } else {
            vec![4]
        };
        assert_eq!(widths(&network), units, "{operator}");
        // Directly behind the activation.
        if operator == "Sigmoid" {
            let net = hidden().node(operator, &["h"], "p").output("p");
            assert_eq!(net.agreed().fitted.link, link);
        }
    }
    let clipped = Net::new(3)
        .layer("x", "z", [3, 4])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [4, 1])
        .constant("least", &[], &[0.0])
        .node("Clip", &["y", "least"], "p")
        .output("p");
    assert_eq!(widths(&clipped.agreed()), [4, 1]);
    let scaled = Net::new(3)
        .layer("x", "z", [3, 4])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [4, 1])
        .constant("five", &[], &[5.0])
        .node("Sigmoid", &["y"], "s")
        .node("Mul", &["s", "five"], "p")
        .output("p");
    assert_eq!(widths(&scaled.agreed()), [4, 1]);
    // Answers of two kinds in one output are numbers.
    let mixed = Net::new(3)
        .layer("x", "z", [3, 4])
        .node("Relu", &["z"], "h")
        .layer("h", "y", [4, 1])
        .layer("h", "q", [4, 2])
        .node("Sigmoid", &["q"], "s")
        .with(node("Concat", &["s", "y"], &["p"]).int("axis", 1))
        .output("p");
    assert_eq!(widths(&mixed.agreed()), [4, 2]);
}
