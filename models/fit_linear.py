#!/usr/bin/env python3
"""Fits `mnist-linear`: scikit-learn's logistic regression on the 60,000 training images of MNIST.

    python3 -m venv .venv && .venv/bin/pip install -r models/requirements.txt
    .venv/bin/python models/fit_linear.py target/mnist models/mnist-linear.safetensors

The first argument is a folder with MNIST's four idx files (`cargo xtask mnist` fetches them). The
strength of the regularisation was chosen on the last 5,000 training images (--choose shows the
table), never on the test set. Takes about a minute on one core and gives the same model every time.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file
from sklearn.linear_model import LogisticRegression

# Inverse regularisation strength: the best of CANDIDATES on the validation images.
C = 0.1
CANDIDATES = [0.003, 0.01, 0.03, 0.1, 0.3]
VALIDATION = 5_000


def images(folder, name):
    data = np.fromfile(folder / f"{name}-images-idx3-ubyte", np.uint8)
    assert data[:4].tolist() == [0, 0, 8, 3], "not an idx file of images"
    return data[16:].reshape(-1, 784) / 255.0


def labels(folder, name):
    data = np.fromfile(folder / f"{name}-labels-idx1-ubyte", np.uint8)
    assert data[:4].tolist() == [0, 0, 8, 1], "not an idx file of labels"
    return data[8:]


def fit(x, y, c):
    return LogisticRegression(C=c, max_iter=2000, tol=1e-5).fit(x, y)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path, help="folder with MNIST's idx files")
    parser.add_argument("out", type=Path, nargs="?", help="safetensors file to write")
    parser.add_argument("--choose", action="store_true", help="compare the candidates for C on validation images")
    args = parser.parse_args()
    x, y = images(args.mnist, "train"), labels(args.mnist, "train")

    if args.choose:
        for c in CANDIDATES:
            model = fit(x[:-VALIDATION], y[:-VALIDATION], c)
            print(f"C = {c}: {model.score(x[-VALIDATION:], y[-VALIDATION:]):.4f} of the validation images", flush=True)
        return
    if args.out is None:
        parser.error("name the file to write, or use --choose")

    model = fit(x, y, C)
    accuracy = model.score(images(args.mnist, "t10k"), labels(args.mnist, "t10k"))
    print(f"accuracy on the 10,000 test images: {accuracy:.4f}")
    # safetensors writes an array's memory as is, and scikit-learn stores coefficients by columns.
    coef, intercept = np.ascontiguousarray(model.coef_), np.ascontiguousarray(model.intercept_)
    save_file(
        {"coef": coef, "intercept": intercept},
        args.out,
        metadata={
            "name": "mnist-linear",
            "title": "Handwritten digits, logistic regression",
            "labels": json.dumps([str(c) for c in model.classes_]),
            "link": "softmax",
            "input_min": "0",
            "input_max": "1",
            "input_levels": "256",
            "image": "28x28",
            "accuracy": f"{accuracy:.4f}",
        },
    )

    written = load_file(args.out)
    assert np.array_equal(written["coef"], model.coef_), "the file does not hold the fitted model"


if __name__ == "__main__":
    main()
