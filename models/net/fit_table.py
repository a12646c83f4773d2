#!/usr/bin/env python3
"""Trains a projection network on your own table, for `blindscore import`.

    python3 -m venv .venv && .venv/bin/pip install -r models/net/requirements.txt
    .venv/bin/python models/net/fit_table.py churn.npz --name churn \\
        --title "Will the customer leave?"
    blindscore import churn.safetensors --name churn --calibrate test.csv --models-dir models

The .npz file holds numpy arrays:

    X [rows, features]      numbers, 1 to 1,024 features, each on its own scale: no normalisation
    y [rows]                2 to 100 classes: integers or strings
    X_test, y_test          optional rows that training never sees; the model's stated accuracy
                            is the accuracy on these
    features [features]     optional names, which the header of a CSV file then has to contain
    labels [classes]        optional names, in the sorted order of y's classes

    np.savez("churn.npz", X=X, y=y, X_test=X_test, y_test=y_test,
             features=["age", "visits"], labels=["stays", "leaves"])

The range of each feature is that of the training rows, slightly widened (--widen); clients refuse
values outside. More projections give more precise answers, and proportionally increase the time of
an encrypted score, by about a millisecond each on two cores.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional as F

import evaluate
import table
from arguments import bounded
from model import ProjectionNet, table_start
from training import descend, edge, keep_memory

# Largest norm of a row of weights, at which the query's noise is still below a rotation's rounding.
LONGEST = 64
W_MAX, V_MAX = (3, 31), 3
# Approximate steps with the default number of epochs, and the least and most epochs.
STEPS, EPOCHS = 6_000, (20, 400)


def batch_size(rows):
    """Returns the batch size: about twenty batches per epoch for small tables."""
    return int(np.clip(rows // 20, 16, 256))


def default_epochs(rows):
    return int(np.clip(STEPS // -(-rows // batch_size(rows)), *EPOCHS))


def fit(args, x, y, classes):
    """Trains a network on input levels `[n, features]` and classes `[n]`."""
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    used = torch.from_numpy(x.min(0) < x.max(0))
    x, y = torch.from_numpy(x).float(), torch.from_numpy(y)
    w_max = int(np.clip(round(LONGEST / x.shape[1] ** 0.5), *W_MAX))
    start = table_start(args.projections, used, generator)
    net = ProjectionNet(*start, classes, (w_max, V_MAX), args.noise, x[:2_000], generator)
    batch = batch_size(len(x))
    epochs = args.epochs or default_epochs(len(x))
    print(f"{len(x)} rows, {int(used.sum())} features that vary, {classes} classes; {epochs} epochs, batches of {batch}", flush=True)

    def batches(_):
        for index in torch.randperm(len(x), generator=generator).split(batch):
            yield x[index], y[index]

    def loss(logits, p, y):
        return F.cross_entropy(logits, y, label_smoothing=args.smoothing) + args.penalty * edge(p)

    per_epoch = -(-len(x) // batch)
    return descend(net, batches, loss, epochs, per_epoch, args.lr, args.average, max(epochs // 10, 1))


def write(args, data, inputs, tensors, size, factor, accuracy):
    """Writes the file that `blindscore import` reads."""
    low, high = inputs
    metadata = {
        "name": args.name,
        "title": args.title or args.name,
        "labels": json.dumps(data.labels),
        "link": "softmax",
        "input_levels": str(args.levels),
        "range": str(size),
        "logit_scale": f"{factor:.6g}",
        "max_logit": str(table.largest_logit(tensors)),
    }
    if data.features:
        metadata["features"] = json.dumps(data.features)
    if accuracy is not None:
        metadata["accuracy"] = f"{accuracy:.4f}"
    arrays = {**tensors, "feature_min": low, "feature_max": high}
    # safetensors writes an array's memory as is.
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, args.out, metadata=metadata)


def run(args):
    data = table.read(args.data)
    low, high = inputs = table.ranges(data.x, args.widen)
    x = evaluate.levels_of(data.x, low, high, args.levels)
    if np.all(x.min(0) == x.max(0)):
        raise table.BadTable("no feature varies: there is nothing to learn from")
    kept, held = table.split(data.y, args.validation, np.random.default_rng(args.seed))
    start = time.time()
    net = fit(args, x[kept], data.y[kept], len(data.labels))
    tensors, size, _ = net.integers()
    # Rows for the scale of the softmax. Training rows, used if there are no validation rows, make
    # it overconfident.
    judged = held if len(held) else kept
    factor = evaluate.calibrated(tensors, size, x[judged], data.y[judged])
    print(f"trained in {time.time() - start:.0f} s")
    plain, noisy = table.accuracies(tensors, size, x[judged], data.y[judged])
    print(f"{'validation' if len(held) else 'training'}: {plain:.4f} of {len(judged)} rows right, {noisy:.4f} with the noise of encryption")
    accuracy = None
    if data.x_test is not None:
        inside = ((data.x_test >= low) & (data.x_test <= high)).all(1)
        if inside.any():
            tested = evaluate.levels_of(data.x_test[inside], low, high, args.levels)
            accuracy, noisy = table.accuracies(tensors, size, tested, data.y_test[inside])
            print(f"test: {accuracy:.4f} of {len(tested)} rows right, {noisy:.4f} with the noise of encryption")
        if not inside.all():
            print(f"{int((~inside).sum())} of {len(inside)} test rows are out of range: clients refuse them (--widen)")
    write(args, data, inputs, tensors, size, factor, accuracy)
    print(f"wrote {args.out}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help=".npz file with X and y")
    parser.add_argument("--name", default="my-net", help="the model's name in URLs: a-z, 0-9 and - (%(default)s)")
    parser.add_argument("--title", help="human-readable title (the name)")
    parser.add_argument("--out", type=Path, help="file to write (NAME.safetensors)")
    parser.add_argument("--projections", type=bounded(int, 1, 1_024), default=32, help="hidden units (%(default)s)")
    parser.add_argument("--epochs", type=bounded(int, 1, 100_000), help=f"passes over the rows (about {STEPS} steps)")
    parser.add_argument("--levels", type=bounded(int, 2, 4_096), default=256, help="values that a feature is rounded to (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--widen", type=bounded(float, 0, 10), default=0.25, help="share of a range's width added on both sides (%(default)s)")
    parser.add_argument(
        "--validation", type=bounded(float, 0, 0.5), default=0.15, help="share of the rows held out to see how training went (%(default)s)"
    )
    parser.add_argument("--noise", type=bounded(float, 0, 1), default=0.05, help="deviation of the noise on p in training (%(default)s)")
    parser.add_argument("--smoothing", type=bounded(float, 0, 0.5), default=0.05, help="label smoothing (%(default)s)")
    parser.add_argument("--penalty", type=bounded(float, 0, 100), default=0.05, help="on projections near their ends (%(default)s)")
    parser.add_argument("--lr", type=bounded(float, 1e-6, 1), default=2e-2, help="learning rate (%(default)s)")
    parser.add_argument("--average", type=bounded(float, 0, 0.9999), default=0.995, help="decay of the average (%(default)s)")
    args = parser.parse_args()
    if not re.fullmatch("[a-z0-9-]+", args.name):
        parser.error(f"--name {args.name!r} is not made of a-z, 0-9 and '-'")
    args.out = args.out or Path(f"{args.name}.safetensors")
    torch.set_num_threads(1)
    keep_memory()
    try:
        run(args)
    except (table.BadTable, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
