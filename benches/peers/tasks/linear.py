"""Logistic regression on MNIST: the bundled model ``mnist-linear``."""

from __future__ import annotations

from pathlib import Path

from safetensors.numpy import load_file

from . import Task, Work, mnist, softmax

#: Test images.
ROWS = 2000
#: Training images, for systems that round.
TRAIN = 2000
#: Model file with scikit-learn's weights.
MODEL = Path(__file__).resolve().parents[3] / "models" / "mnist-linear.safetensors"


def prepare(folder: Path, images: Path) -> Task:
    """Reads the plain model's weights."""
    train, targets = mnist.load(images, "train")
    test, classes = mnist.load(images, "t10k")
    weights = load_file(MODEL)
    layers = [(weights["coef"].T, weights["intercept"])]
    work = Work(folder, train[:TRAIN], targets[:TRAIN], test[:ROWS], layers, {"model": "mnist-linear"})
    expected = softmax(work.test @ layers[0][0] + layers[0][1])
    return Task("linear", "Logistic regression on MNIST, 784 x 10", work, expected, classes[:ROWS])
