"""Reads fully connected networks from ONNX, and gives them other weights.

The graph is a front (scalers, for instance), layers (Gemm, or MatMul and Add) with activations
between them, and a tail (softmax, labels). Front and tail stay as they are. Needs numpy and onnx.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

# Activations with their attributes, and the values of these in files that do not say.
ACTIVATIONS = {
    "Elu": {"alpha": 1.0},
    "LeakyRelu": {"alpha": 0.01},
    "Relu": {},
    "Sigmoid": {},
    "Softplus": {},
    "Softsign": {},
    "Tanh": {},
}
# Operators that leave a row's numbers as they are.
UNCHANGED = ("Cast", "Dropout", "Flatten", "Identity")
# Operators behind the scores of classes.
CLASSES = ("ArgMax", "LogSoftmax", "Sigmoid", "Softmax")
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)


class BadNetwork(Exception):
    """A problem with a network, explained to its author."""


@dataclass
class Layer:
    """The names of a layer's weights and bias (None for no bias), whether the weights are stored as
    `[outputs, inputs]`, and the activation (None for none)."""

    weights: str
    bias: str | None
    transposed: bool
    activation: str | None = None
    attributes: dict | None = None


@dataclass
class Network:
    """A model, its layers, the tensors before and behind them, and whether the tail says that the
    scores are those of classes."""

    model: onnx.ModelProto
    layers: list
    front: str
    scores: str
    decides: bool

    def weights(self):
        """Returns the weights `[inputs, outputs]` and the bias `[outputs]` of each layer."""
        found = constants(self.model.graph)
        pairs = []
        for layer in self.layers:
            matrix = found[layer.weights].T if layer.transposed else found[layer.weights]
            bias = np.zeros(matrix.shape[1]) if layer.bias is None else found[layer.bias].reshape(-1)
            pairs.append((matrix.astype(np.float64), bias.astype(np.float64)))
        return pairs

    def with_weights(self, pairs):
        """Returns the model with other weights, in the places, shapes and types of the old ones."""
        new = {}
        for layer, (matrix, bias) in zip(self.layers, pairs, strict=True):
            new[layer.weights] = matrix.T if layer.transposed else matrix
            if layer.bias is not None:
                new[layer.bias] = bias
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        for name, tensor in tensors(model.graph):
            if name in new:
                old = numpy_helper.to_array(tensor)
                array = np.ascontiguousarray(new[name].reshape(old.shape), old.dtype)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        return model

    def inputs(self, x):
        """Returns what the first layer reads of rows `[n, features]`."""
        return self._run(self.front, x)

    def plain_scores(self, x):
        """Returns the scores of rows as ONNX defines them."""
        return self._run(self.scores, x)

    def class_names(self):
        """Returns the names that the tail gives to classes, or None."""
        found = constants(self.model.graph)
        for node in self.model.graph.node:
            if node.op_type == "ArrayFeatureExtractor" and node.input[0] in found:
                return [value.decode() if isinstance(value, bytes) else str(value) for value in found[node.input[0]].reshape(-1)]
        return None

    def _run(self, wanted, x):
        source = only_input(self.model.graph)
        shape = source.type.tensor_type.shape.dim
        columns = shape[1].dim_value if len(shape) == 2 else 0
        if columns not in (0, x.shape[1]):
            raise BadNetwork(f"the network reads {columns} columns, and X has {x.shape[1]}")
        part = onnx.ModelProto()
        part.CopyFrom(self.model)
        del part.graph.node[:], part.graph.output[:]
        part.graph.node.extend(ancestors(self.model.graph, wanted))
        part.graph.output.add(name=wanted)
        kind = onnx.helper.tensor_dtype_to_np_dtype(source.type.tensor_type.elem_type)
        try:
            values = ReferenceEvaluator(part).run(None, {source.name: x.astype(kind)})[0]
        # Operators raise errors of many types.
        except Exception as error:
            raise BadNetwork(f"the network can't be run on the rows of X: {error}") from error
        if values.ndim != 2 or len(values) != len(x):
            raise BadNetwork(f"{wanted!r} has shape {values.shape} for {len(x)} rows; [rows, numbers] is needed")
        if not np.isfinite(values).all():
            raise BadNetwork(f"{wanted!r} is not a finite number for row {np.argwhere(~np.isfinite(values))[0][0]} of X")
        return values.astype(np.float64)


def read(path):
    """Reads a network with hidden layers from an ONNX file."""
    if not Path(path).is_file():
        raise BadNetwork(f"there is no file {path}")
    try:
        model = onnx.load(path)
    # The parser's errors have no common class.
    except Exception as error:
        raise BadNetwork(f"{path} is not ONNX that can be read: {error}") from error
    only_input(model.graph)
    return network(model)


def network(model):
    """Returns the network of a model: a chain of layers from the one before the first activation to
    the last one."""
    found = constants(model.graph)
    products = [node for node in model.graph.node if is_product(node, found)]
    if not products:
        raise BadNetwork("no MatMul or Gemm multiplies rows by constant weights: this is not a network")
    chain = followed(model.graph, products[0])
    ends = [place for place, node in enumerate(chain) if is_product(node, found)]
    active = [place for place in range(ends[-1]) if chain[place].op_type in ACTIVATIONS]
    before = ancestors(model.graph, chain[0].output[0])
    for node in products:
        if node not in chain and node not in before:
            names = " and ".join(sorted(other.op_type for other in readers(model.graph, chain[-1])))
            raise BadNetwork(f"{names or 'An output'} read {chain[-1].output[0]!r}: only chains of layers are trained, without branches")
    if not active:
        raise BadNetwork("the network has no hidden layer: no activation stands between two layers. A linear model needs no such training")
    start = max(place for place in ends if place < active[0])
    layers, end = layers_of(chain[start : ends[-1] + 2], found)
    check(layers, found)
    scores = chain[start + end - 1].output[0]
    tail = chain[start + end :] + readers(model.graph, chain[-1])
    return Network(model, layers, chain[start].input[0], scores, decides(tail))


def layers_of(chain, found):
    """Returns the layers of a chain, and how many of its nodes they take."""
    layers = []
    last = max(place for place, node in enumerate(chain) if is_product(node, found))
    for place, node in enumerate(chain):
        before = chain[place - 1] if place else None
        if is_product(node, found):
            layers.append(product(node, found))
        elif node.op_type == "Add" and before is not None and before.op_type == "MatMul" and added(node, found):
            layers[-1].bias = added(node, found)
        elif place > last:
            return layers, place
        elif node.op_type in ACTIVATIONS and layers[-1].activation is None:
            layers[-1].activation, layers[-1].attributes = node.op_type, attributes(node)
        elif node.op_type not in UNCHANGED or (node.op_type == "Cast" and node.attribute[0].i not in FLOATS):
            known = ", ".join(ACTIVATIONS)
            raise BadNetwork(f"{node.op_type} (node {node.name!r}) between layers is not read; Gemm, MatMul, Add and {known} are")
    return layers, len(chain)


def product(node, found):
    """Returns the layer of a product, without its activation."""
    given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if given.get("alpha", 1) != 1 or given.get("beta", 1) != 1 or given.get("transA", 0):
        raise BadNetwork(f"Gemm (node {node.name!r}) has alpha, beta or transA, which is not read")
    bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
    if bias is not None and bias not in found:
        raise BadNetwork(f"the bias {bias!r} of {node.op_type} is computed; only constants are read")
    return Layer(node.input[1], bias, bool(given.get("transB", 0)))


def check(layers, found):
    """Refuses layers that don't fit together, are shared, or have numbers that are not finite."""
    names = [name for layer in layers for name in (layer.weights, layer.bias) if name is not None]
    for name in names:
        if names.count(name) > 1:
            raise BadNetwork(f"two layers share {name!r}, which is not read")
        if found[name].dtype.kind != "f" or not np.isfinite(found[name]).all():
            raise BadNetwork(f"the weights {name!r} are not all finite numbers")
    before = None
    for layer in layers:
        shape = found[layer.weights].shape
        inputs, outputs = reversed(shape) if layer.transposed else shape
        if before not in (None, inputs):
            raise BadNetwork(f"{layer.weights!r} reads {inputs} numbers, and the layer before has {before}")
        if layer.bias is not None and found[layer.bias].size != outputs:
            raise BadNetwork(f"the bias {layer.bias!r} has {found[layer.bias].size} numbers for {outputs} units")
        before = outputs


def decides(tail):
    """Returns whether the nodes behind the last layer say that scores are those of classes."""
    for node in tail:
        if node.op_type in CLASSES:
            return True
        if node.op_type not in (*UNCHANGED, "Reshape"):
            raise BadNetwork(f"{node.op_type} (node {node.name!r}) behind the last layer is not read; {', '.join(CLASSES)} or nothing is")
    return False


def is_product(node, found):
    """Returns whether a node multiplies rows by a constant matrix."""
    return node.op_type in ("Gemm", "MatMul") and node.input[0] not in found and node.input[1] in found and found[node.input[1]].ndim == 2


def added(node, found):
    """Returns the name of the constant that a node adds, or None."""
    return next((name for name in node.input if name in found), None)


def attributes(node):
    """Returns the attributes of an activation."""
    given = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: given.get(name, default) for name, default in ACTIVATIONS[node.op_type].items()}


def followed(graph, node):
    """Returns a node and those after it, as long as each one's output has one reader."""
    chain = [node]
    while len(after := readers(graph, chain[-1])) == 1 and all(output.name != chain[-1].output[0] for output in graph.output):
        chain += after
    return chain


def readers(graph, node):
    """Returns the nodes that read a node's output."""
    return [other for other in graph.node if node.output[0] in other.input]


def ancestors(graph, wanted):
    """Returns the nodes that a tensor needs, in the order of the graph."""
    needed, nodes = {wanted}, []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    return nodes[::-1]


def tensors(graph):
    """Yields the names and the tensors of a graph's constants."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], node.attribute[0].t


def constants(graph):
    """Returns the arrays of a graph's constants by name."""
    return {name: numpy_helper.to_array(tensor) for name, tensor in tensors(graph)}


def only_input(graph):
    """Returns the only input of a graph: a table of numbers."""
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs[:5])
        raise BadNetwork(f"the network has {len(inputs)} inputs ({names}); export it with one input, the table of all columns")
    kind = inputs[0].type.tensor_type.elem_type
    numbers = (*FLOATS, onnx.TensorProto.INT64, onnx.TensorProto.INT32)
    if kind not in numbers:
        raise BadNetwork(f"the input {inputs[0].name!r} is not a table of numbers; export the network for one")
    return inputs[0]
