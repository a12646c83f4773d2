"""A network with a hidden layer on MNIST, whose units are squared.

The square is what the schemes that only add and multiply can do, so that all systems score the same
network. No library for tables fits one, and PyTorch would bring gigabytes along, so it is fitted
here: Adam with decoupled weight decay, on all training images, in some twenty seconds.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from . import Task, Work, mnist, softmax

UNITS = 64
#: Test images: few, since one takes the systems up to a second.
ROWS = 200
#: Training images from which systems that round take ranges.
TRAIN = 2000

EPOCHS, BATCH, RATE, DECAY = 12, 128, 2e-3, 0.2
#: Adam's shares of the old averages, of the gradient and of its square.
OLD, OLD_SQUARE = 0.9, 0.999

#: Versions of the format of the plain model's file: those that Concrete ML reads.
OPSET, FORMAT = 14, 8


def scores(layers: list[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Returns the scores of rows in the clear."""
    first, first_bias, last, last_bias = layers
    return np.square(rows @ first + first_bias) @ last + last_bias


def gradients(layers: list[np.ndarray], rows: np.ndarray, wanted: np.ndarray) -> list[np.ndarray]:
    """Returns the gradients of the mean cross entropy."""
    first, first_bias, last, last_bias = layers
    sums = rows @ first + first_bias
    hidden = np.square(sums)
    errors = (softmax(hidden @ last + last_bias) - wanted) / len(rows)
    back = errors @ last.T * 2 * sums
    return [rows.T @ back, back.sum(axis=0), hidden.T @ errors, errors.sum(axis=0)]


def fit(rows: np.ndarray, classes: np.ndarray) -> list[np.ndarray]:
    """Fits the network, the same one every time on the same machine."""
    random = np.random.default_rng(0)
    rows, wanted = rows.astype(np.float32), np.eye(10, dtype=np.float32)[classes]
    shapes = [(rows.shape[1], UNITS), (UNITS,), (UNITS, 10), (10,)]
    widths = [rows.shape[1] ** -0.5, 0, 0.1, 0]
    layers = [random.normal(0, width, shape).astype(np.float32) for width, shape in zip(widths, shapes, strict=True)]
    means, squares = [np.zeros_like(layer) for layer in layers], [np.zeros_like(layer) for layer in layers]
    starts = [start for _ in range(EPOCHS) for start in range(0, len(rows), BATCH)]
    for step, start in enumerate(starts, 1):
        if start == 0:
            order = random.permutation(len(rows))
        batch = order[start : start + BATCH]
        rate = RATE * (1 + np.cos(np.pi * step / len(starts))) / 2
        for layer, mean, square, gradient in zip(layers, means, squares, gradients(layers, rows[batch], wanted[batch]), strict=True):
            mean += (1 - OLD) * (gradient - mean)
            square += (1 - OLD_SQUARE) * (np.square(gradient) - square)
            towards = mean / (1 - OLD**step) / (np.sqrt(square / (1 - OLD_SQUARE**step)) + 1e-8)
            layer -= np.float32(rate) * (towards + np.float32(DECAY) * layer)
    return layers


def write(layers: list[np.ndarray], path: Path) -> None:
    """Writes the plain model as ONNX."""
    nodes = [
        helper.make_node("Gemm", ["pixels", "first", "first_bias"], ["sums"]),
        helper.make_node("Mul", ["sums", "sums"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "last", "last_bias"], ["scores"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width]) for name, width in (("pixels", 784), ("scores", 10))]
    names = ["first", "first_bias", "last", "last_bias"]
    tensors = [numpy_helper.from_array(layer, name) for layer, name in zip(layers, names, strict=True)]
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=FORMAT)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def prepare(folder: Path, images: Path) -> Task:
    """Fits the plain model to all training images."""
    train, targets = mnist.load(images, "train")
    test, classes = mnist.load(images, "t10k")
    layers = fit(train, targets)
    write(layers, folder / "model.onnx")
    first, first_bias, last, last_bias = (layer.astype(float) for layer in layers)
    work = Work(folder, train[:TRAIN], targets[:TRAIN], test[:ROWS], [(first, first_bias), (last, last_bias)], {})
    title = f"Network on MNIST, 784 x {UNITS} x 10, units squared"
    expected = softmax(scores([first, first_bias, last, last_bias], work.test))
    return Task("network", title, work, expected, classes[:ROWS])
