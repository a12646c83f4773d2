"""Reading and writing networks for ``models/net/finetune.py``: the part that needs no PyTorch."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
NETWORKS = ROOT / "tests" / "fixtures" / "networks"
sys.path.insert(0, str(ROOT / "models" / "net"))

import layers  # noqa: E402
import table  # noqa: E402

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(5, 4)).astype(np.float32)


def model(nodes: list[onnx.NodeProto], names: list[str] | None = None, **constants: np.ndarray) -> onnx.ModelProto:
    """A model that reads X, four columns, and writes the output of its last node."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 4]) for name in names or ["X"]],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])


def weights(*shape: int) -> np.ndarray:
    return RANDOM.normal(size=shape)


def chain(*operators: str) -> onnx.ModelProto:
    """Two layers of PyTorch's kind, with operators between them."""
    names = ["z", *(f"t{place}" for place in range(len(operators)))]
    between = [helper.make_node(operator, [before], [after]) for operator, before, after in zip(operators, names, names[1:], strict=False)]
    nodes = [
        helper.make_node("Gemm", ["X", "w", "b"], ["z"], transB=1),
        *between,
        helper.make_node("Gemm", [names[-1], "v", "c"], ["y"], transB=1),
    ]
    return model(nodes, w=weights(6, 4), b=weights(6), v=weights(3, 6), c=weights(3))


def outputs(network: layers.Network) -> np.ndarray:
    """What the layers compute, in numpy."""
    functions = {"Relu": lambda z: np.maximum(z, 0), "Tanh": np.tanh, None: lambda z: z}
    x = network.inputs(X)
    for layer, (matrix, bias) in zip(network.layers, network.weights(), strict=True):
        x = functions[layer.activation](x @ matrix + bias)
    return x


@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_layers_of_scikit_learn_compute_what_the_file_does(name: str) -> None:
    network = layers.read(NETWORKS / name / "model.onnx")
    assert network.decides == (name == "classifier")
    assert np.allclose(outputs(network), network.plain_scores(X), atol=1e-5)
    # The scaler is the front.
    assert not np.allclose(network.inputs(X), X)


def test_layers_of_pytorch_compute_what_the_file_does() -> None:
    network = layers.network(chain("Relu"))
    assert [layer.transposed for layer in network.layers] == [True, True]
    assert np.allclose(outputs(network), network.plain_scores(X), atol=1e-5)


def test_a_linear_layer_in_front_of_the_first_activation_stays() -> None:
    nodes = [
        helper.make_node("MatMul", ["X", "components"], ["reduced"]),
        helper.make_node("MatMul", ["reduced", "w"], ["z"]),
        helper.make_node("Tanh", ["z"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["y"]),
    ]
    network = layers.network(model(nodes, components=weights(4, 3), w=weights(3, 5), v=weights(5, 2)))
    assert network.front == "reduced"
    assert [layer.weights for layer in network.layers] == ["w", "v"]


@pytest.mark.parametrize("name", ["classifier", "regressor"])
def test_the_same_weights_give_the_same_model(name: str) -> None:
    network = layers.read(NETWORKS / name / "model.onnx")
    again = network.with_weights(network.weights())
    before, after = ({key: array.tolist() for key, array in layers.constants(each.graph).items()} for each in (network.model, again))
    assert before == after
    assert [node.SerializeToString() for node in again.graph.node] == [node.SerializeToString() for node in network.model.graph.node]


@pytest.mark.parametrize("made", [lambda: layers.read(NETWORKS / "classifier" / "model.onnx"), lambda: layers.network(chain("Relu"))])
def test_other_weights_are_what_the_file_computes_with(made, tmp_path: Path) -> None:
    network = made()
    pairs = [(matrix + 0.25, bias - 0.5) for matrix, bias in network.weights()]
    onnx.save(network.with_weights(pairs), tmp_path / "net.onnx")
    again = layers.read(tmp_path / "net.onnx")
    assert all(np.allclose(a, b, atol=1e-6) for one, other in zip(again.weights(), pairs, strict=True) for a, b in zip(one, other, strict=True))
    assert np.allclose(outputs(again), again.plain_scores(X), atol=1e-4)
    assert not np.allclose(outputs(again), outputs(network))


def test_the_names_of_classes_are_those_of_the_tail() -> None:
    assert layers.read(NETWORKS / "classifier" / "model.onnx").class_names() == ["high", "low", "mid"]
    assert layers.network(chain("Relu")).class_names() is None


def residual() -> onnx.ModelProto:
    nodes = [
        helper.make_node("MatMul", ["X", "w"], ["z"]),
        helper.make_node("Relu", ["z"], ["h"]),
        helper.make_node("MatMul", ["h", "v"], ["u"]),
        helper.make_node("Add", ["u", "h"], ["sum"]),
        helper.make_node("MatMul", ["sum", "q"], ["y"]),
    ]
    return model(nodes, w=weights(4, 4), v=weights(4, 4), q=weights(4, 2))


def broken() -> onnx.ModelProto:
    made = chain("Relu")
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((6, 4), np.nan, np.float32), "w"))
    return made


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: chain(), "no hidden layer"),
        (lambda: chain("Relu", "Softmax"), "Softmax"),
        (lambda: chain("Relu", "Erf"), "Erf"),
        (lambda: model([helper.make_node("Relu", ["X"], ["y"])]), "not a network"),
        (lambda: model([helper.make_node("Add", ["X", "Z"], ["y"])], ["X", "Z"]), "2 inputs"),
        (residual, "Add and MatMul read 'h'"),
        (broken, "'w' are not all finite"),
    ],
)
def test_other_networks_are_refused_in_words(made, said: str, tmp_path: Path) -> None:
    onnx.save(made(), tmp_path / "net.onnx")
    with pytest.raises(layers.BadNetwork, match=said):
        layers.read(tmp_path / "net.onnx")


def test_a_table_with_other_columns_is_refused() -> None:
    with pytest.raises(layers.BadNetwork, match="reads 4 columns, and X has 3"):
        layers.network(chain("Relu")).inputs(X[:, :3])


def test_numbers_to_estimate_are_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "table.npz"
    np.savez(file, X=X, y=np.linspace(0, 1, 5))
    assert table.read_values(file).y.shape == (5, 1)
    np.savez(file, X=X, y=[0, 1, np.nan, 2, 3])
    with pytest.raises(table.BadTable, match=r"y\[2\] is not a finite number"):
        table.read_values(file)
