#!/usr/bin/env python3
"""The integer model in plain numpy: what the encrypted engine computes, and how well it does.

    python3 models/net/evaluate.py target/mnist models/net/mnist-net.safetensors

Reads the safetensors file by itself, so that numpy is all it needs.
"""

import argparse
import json
from pathlib import Path

import numpy as np

TYPES = {"I8": np.int8, "I16": np.int16, "I32": np.int32, "F32": np.float32, "F64": np.float64}


def read(path):
    """Reads tensors and metadata of a safetensors file."""
    raw = Path(path).read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        low, high = (start + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(raw[low:high], TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def deskew(images):
    """Deskews float images `[n, rows, columns]`, with bilinear interpolation.

    Shears each image to make the strokes' main direction upright, and shifts its centre of mass to
    the middle pixel. The client does the same (`protocol/src/deskew.rs`).
    """
    images = np.asarray(images, np.float32)
    n, rows, columns = images.shape
    y, x = np.arange(rows, dtype=np.float32), np.arange(columns, dtype=np.float32)
    mass = np.maximum(images.sum((1, 2)), 1e-9)
    cy, cx = (images.sum(2) @ y) / mass, (images.sum(1) @ x) / mass
    dy, dx = y - cy[:, None], x - cx[:, None]
    covariance = np.einsum("nij,ni,nj->n", images, dy, dx, optimize=True)
    variance = np.einsum("nij,ni,ni->n", images, dy, dy, optimize=True)
    slant = np.clip(covariance / np.maximum(variance, 1e-9), -1, 1)
    up, left = y - rows // 2, x - columns // 2
    source_y = cy[:, None, None] + up[:, None] + 0 * left
    source_x = cx[:, None, None] + left + slant[:, None, None] * up[:, None]
    low_y, low_x = np.floor(source_y), np.floor(source_x)
    padded = np.zeros((n, rows + 2, columns + 2), np.float32)
    padded[:, 1:-1, 1:-1] = images
    index = np.arange(n)[:, None, None]

    def pixel(row, column):
        row, column = (np.clip(v + 1, 0, size + 1).astype(np.int64) for v, size in ((row, rows), (column, columns)))
        return padded[index, row, column]

    share_y, share_x = source_y - low_y, source_x - low_x
    top = pixel(low_y, low_x) * (1 - share_x) + pixel(low_y, low_x + 1) * share_x
    bottom = pixel(low_y + 1, low_x) * (1 - share_x) + pixel(low_y + 1, low_x + 1) * share_x
    return top * (1 - share_y) + bottom * share_y


def mnist(folder, name, straighten):
    """Reads pixels in 0..3 `[n, 784]` and labels of `train` or `t10k`.

    Deskews the images first if `straighten` is set.
    """
    images = np.fromfile(Path(folder) / f"{name}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 28, 28)
    images = images.astype(np.float32) / 255
    if straighten:
        images = np.concatenate([deskew(part) for part in np.array_split(images, 20)])
    labels = np.fromfile(Path(folder) / f"{name}-labels-idx1-ubyte", np.uint8)[8:]
    return np.floor(3 * images + 0.5).astype(np.int32).reshape(-1, 784), labels


def levels_of(x, low, high, levels):
    """Rounds features `[n, f]` in the ranges `low[f]..high[f]` to integers in 0..levels-1.

    Halves round up, as in the client (`protocol/src/descriptor/inputs.rs`).
    """
    position = (x - low) * ((levels - 1) / (high - low))
    below = np.floor(position)
    return (below + (position - below >= 0.5)).astype(np.int32)


def projections(tensors, size, x):
    """Returns `p = (w x + b) / range` `[n, h]`, in exact integers before the division."""
    # Sums stay far below 2^24, so float32 holds them exactly.
    sums = x.astype(np.float32) @ tensors["w"].astype(np.float32).T
    return (sums + tensors["b"]) / size


def ramp(u, width):
    """Returns `clip(u / width, -1, 1)` on [-1, 1], continued with `f(u + 2) = -f(u)`."""
    turns = np.round(u / 2)
    sign = 1 - 2 * (turns % 2)
    return sign * np.clip((u - 2 * turns) / width, -1, 1)


def scores(tensors, p, read_noise=0.0, rng=None):
    """Returns logits `[n, c]` in units of the integer weights `v`."""
    v, width = tensors["v"].astype(np.float64), tensors["width"].astype(np.float64)
    out = np.tile(tensors["bias"].astype(np.float64), (len(p), 1))
    for k in range(v.shape[2]):
        reads = ramp(p + tensors["threshold"][:, k] / 256, width)
        if read_noise:
            reads = reads + read_noise * rng.standard_normal(reads.shape)
        out += reads @ v[:, :, k].T
    return out


def noise(tensors):
    """Returns the predicted standard deviation of the noise on p (`protocol/src/noise`), the
    largest of all projections."""
    switch, query = 2**-18 / 12 * (704 / 4 + 1) / 4, 2**-29.58 + 2**-36 / 12
    norms = (tensors["w"].astype(np.float64) ** 2).sum(1)
    return float(4 * np.sqrt(query * norms.max() + switch))


def accuracy(tensors, p, labels, noise=0.0, seeds=1):
    """Returns the share of right answers with Gaussian noise on the projections.

    If there is any, the reads get noise of 2^-8, too.
    """
    shares = []
    for seed in range(seeds if noise else 1):
        rng = np.random.default_rng(seed)
        noisy = p + noise * rng.standard_normal(p.shape) if noise else p
        shares.append(np.mean(scores(tensors, noisy, 2**-8 if noise else 0.0, rng).argmax(1) == labels))
    return float(np.mean(shares))


def calibrated(tensors, size, x, labels):
    """Returns the factor on integer logits for which their softmax is most likely on these rows."""
    logits = scores(tensors, projections(tensors, size, x))
    best = (np.inf, 1.0)
    for factor in np.geomspace(1e-3, 1, 400):
        scaled = logits * factor
        top = scaled.max(1, keepdims=True)
        likely = scaled[np.arange(len(labels)), labels] - top[:, 0] - np.log(np.exp(scaled - top).sum(1))
        best = min(best, (-likely.mean(), factor))
    return best[1]


def report(tensors, size, x, labels):
    """Returns all figures in the README's table, for one set of images."""
    p = projections(tensors, size, x)
    deviation = np.abs(scores(tensors, p) - tensors["bias"]).max()
    norms = np.linalg.norm(tensors["w"].astype(np.float64), axis=1)
    v = tensors["v"].astype(np.float64)
    return {
        "accuracy": accuracy(tensors, p, labels),
        "accuracy, noise 0.008 (mean of 3)": accuracy(tensors, p, labels, 0.008, 3),
        "accuracy, noise 0.015 (mean of 3)": accuracy(tensors, p, labels, 0.015, 3),
        "largest |p|": float(np.abs(p).max()),
        "projections with |p| > 1": int((np.abs(p) > 1).sum()),
        "range": size,
        "largest norm of a row of w": float(norms.max()),
        "mean norm of a row of w": float(norms.mean()),
        "largest |w|, |v|": (int(np.abs(tensors["w"]).max()), int(np.abs(v).max())),
        "largest |logit - bias|": float(deviation),
        "largest norm of v for a class": float(np.sqrt((v**2).sum((1, 2)).max())),
        "largest |logit - bias| / norm of v": float(deviation / np.sqrt((v**2).sum((1, 2)).max())),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path, help="folder with MNIST's idx files")
    parser.add_argument("model", type=Path)
    parser.add_argument("--train", action="store_true", help="the training images instead of the test images")
    parser.add_argument("--rows", type=Path, help="CSV file to write the images to, as clients encode them, for blindscore import --calibrate")
    args = parser.parse_args()
    tensors, metadata = read(args.model)
    x, labels = mnist(args.mnist, "train" if args.train else "t10k", metadata.get("deskew") == "true")
    if args.rows:
        np.savetxt(args.rows, x / 3, fmt="%.4g", delimiter=",")
    for name, value in report(tensors, int(metadata["range"]), x, labels).items():
        print(f"{name:36} {value:.4f}" if isinstance(value, float) else f"{name:36} {value}")


if __name__ == "__main__":
    main()
