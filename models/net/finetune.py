#!/usr/bin/env python3
"""Trains a network with hidden layers on, with the noise that encryption will add to it.

    python3 -m venv .venv && .venv/bin/pip install -r models/net/requirements.txt
    .venv/bin/python models/net/finetune.py churn.onnx churn.npz --out churn-tuned.onnx
    blindscore import churn-tuned.onnx --name churn --calibrate train.csv --models-dir models

For networks whose encrypted answers agree too seldom with their own, or that take too many blind
rotations. Reads a chain of layers (Gemm, or MatMul and Add) with Elu, LeakyRelu, Relu, Sigmoid,
Softplus, Softsign or Tanh between them, as scikit-learn, PyTorch and Keras write it. What stands in
front of the first layer, such as a scaler, stays as it is. So does what stands behind the last one.

The .npz file holds the rows that the network was trained with, as numpy arrays:

    X [rows, features]      what the ONNX file reads, before any scaler
    y [rows]                classes, in the words of the network, or 0, 1, ... if it has none;
                            numbers to estimate if the network is a regression
    X_test, y_test          optional rows that the network was not trained with

    np.savez("churn.npz", X=X, y=y, X_test=X_test, y_test=y_test)

The rows of X_test are held out; without them, --validation takes a share of X, whose classes the
network knows already, which flatters it. If training makes the answers to held-out rows worse, with
noise, the file that is written has the weights of the one that was read.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import layers
import table
from arguments import bounded
from noisy import NoisyNet
from training import keep_memory, rate

# Most rows that ranges are taken from in training, as many as an import fits to.
RANGE_ROWS = 2_000
# Draws of the noise for a figure.
DRAWS = 10
# Share of X that is held out.
VALIDATION = 0.15
# Rows on which the network in torch is compared with the file, and the largest difference, as a
# share of the largest score.
COMPARED, DIFFERENCE = 100, 1e-3


class NotTrained(Exception):
    """A reason why a network can't be trained, explained to its author."""


@dataclass
class Quality:
    """How good a network is on some rows: the share of right classes, or of the variance that it
    explains, without and with noise. `same` is the share of classes that are the same with both."""

    plain: float
    noisy: float
    same: float | None

    def __str__(self):
        if self.same is None:
            return f"explains {self.plain:.4f} of the variance, {self.noisy:.4f} with the noise of encryption"
        return f"{self.plain:.4f} right, {self.noisy:.4f} with the noise of encryption, which leaves {self.same:.4f} of the classes as they are"


def classes_of(scores):
    return scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0).long()


def quality(net, x, y, ranges, seed, decides):
    """Returns the quality of a network on rows, with the same noise for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        plain = net(x)
        deviations = net.deviations(ranges)
        draws = [net(x, deviations, generator) for _ in range(DRAWS)]
    if decides:
        right = [(classes_of(scores) == y).double().mean().item() for scores in (plain, *draws)]
        same = [(classes_of(scores) == classes_of(plain)).double().mean().item() for scores in draws]
        return Quality(right[0], float(np.mean(right[1:])), float(np.mean(same)))
    variance = y.var(0, unbiased=False).clamp_min(torch.finfo(y.dtype).tiny)
    explained = [1 - ((scores - y).square().mean(0) / variance).mean().item() for scores in (plain, *draws)]
    return Quality(explained[0], float(np.mean(explained[1:])), None)


def read(args):
    """Returns the network, its table, and whether it decides between classes."""
    network = layers.read(args.network)
    if args.task == "regression" and network.decides:
        raise NotTrained("--task regression, but the network gives probabilities or classes")
    if args.task is None and not network.decides:
        raise NotTrained(f"{args.network} leaves open what its scores are: add --task classification or --task regression")
    decides = args.task != "regression"
    return network, table.read(args.data) if decides else table.read_values(args.data), decides


def tensors(network, data, decides):
    """Returns what the first layer reads of each row, and the targets: of the rows for training,
    and of those for the test, if there are any."""
    scores = network.weights()[-1][0].shape[1]
    if decides:
        count = len(data.classes)
        if scores not in ((1, 2) if count == 2 else (count,)):
            raise NotTrained(f"y has {count} classes, and the network has {scores} {'score' if scores == 1 else 'scores'}")
        names = network.class_names()
        if names not in (None, data.classes):
            raise NotTrained(f"y has the classes {', '.join(data.classes)}, and the network {', '.join(names)}")
    elif scores != data.y.shape[1]:
        raise NotTrained(f"y has {data.y.shape[1]} numbers for each row, and the network has {scores}")
    pairs = [(data.x, data.y)] + ([] if data.x_test is None else [(data.x_test, data.y_test)])
    kind = torch.long if decides else torch.float32
    return [(torch.tensor(network.inputs(x), dtype=torch.float32), torch.tensor(y, dtype=kind)) for x, y in pairs]


def compare(network, net, x, inputs):
    """Refuses a network whose scores in torch are others than the file's."""
    with torch.no_grad():
        ours = net(inputs[:COMPARED]).double().numpy()
    own = network.plain_scores(x[:COMPARED])
    if own.shape != ours.shape or np.abs(own - ours).max() > DIFFERENCE * max(np.abs(own).max(), 1e-30):
        raise NotTrained("the scores of the network's layers are not those of the file: it computes something that is not read here")


def loss_of(decides, y):
    """Returns the loss of scores: cross entropy, or the share of the variance that they leave."""
    if not decides:
        variance = y.var(0, unbiased=False)
        if (variance == 0).any():
            raise NotTrained("y is the same number for all rows: there is nothing to learn from")
        return lambda scores, y: ((scores - y).square() / variance).mean()
    return lambda scores, y: F.cross_entropy(scores, y) if scores.shape[1] > 1 else F.binary_cross_entropy_with_logits(scores[:, 0], y.float())


def train(net, x, y, loss, args):
    """Trains a network on rows, with noise."""
    generator = torch.Generator().manual_seed(args.seed)
    groups = [{"params": list(net.w), "weight_decay": args.decay}, {"params": [b for b in net.b if b.requires_grad], "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=args.lr)
    start, total = time.time(), 0.0
    for step in range(args.steps):
        for group in optimiser.param_groups:
            group["lr"] = args.lr * rate(step, args.steps, args.steps // 20)
        batch = torch.randint(len(x), (min(args.batch, len(x)),), generator=generator)
        ranges = x if len(x) <= RANGE_ROWS else x[torch.randperm(len(x), generator=generator)[:RANGE_ROWS]]
        deviations = [args.noise * deviation for deviation in net.deviations(ranges)]
        error = loss(net(x[batch], deviations, generator), y[batch])
        optimiser.zero_grad()
        error.backward()
        optimiser.step()
        total += error.item()
        if (step + 1) % max(args.steps // 5, 1) == 0:
            print(f"step {step + 1}: loss {total / max(args.steps // 5, 1):.4f}, {time.time() - start:.0f} s", flush=True)
            total = 0.0
    if not all(torch.isfinite(parameter).all() for parameter in net.parameters()):
        raise NotTrained("training diverged: try a smaller --lr")


def held_out(args, data, pairs, decides):
    """Returns the rows for training and those that are held out, with their targets."""
    if len(pairs) == 2:
        if args.validation is not None:
            raise NotTrained("--validation holds rows of X out, and X_test is held out already: leave one of them out")
        return pairs
    (x, y), share = pairs[0], VALIDATION if args.validation is None else args.validation
    kept, held = table.split(data.y if decides else np.zeros(len(x)), share, np.random.default_rng(args.seed))
    if not len(held):
        raise NotTrained(f"no row of {len(x)} is held out: give X_test, more rows, or a larger --validation")
    return (x[kept], y[kept]), (x[held], y[held])


def run(args):
    network, data, decides = read(args)
    pairs = tensors(network, data, decides)
    net = NoisyNet(network.layers, network.weights(), args.rotations)
    compare(network, net, data.x, pairs[0][0])
    (x, y), held = held_out(args, data, pairs, decides)
    units = sum(len(b) for b, layer in zip(net.b, network.layers, strict=True) if layer.activation)
    print(f"{len(x)} rows, {len(held[0])} held out, {units} hidden units; {args.steps} steps", flush=True)
    before = quality(net, *held, x, args.seed, decides)
    train(net, x, y, loss_of(decides, y), args)
    after = quality(net, *held, x, args.seed, decides)
    print(f"held-out rows before: {before}\nheld-out rows after:  {after}")
    worse = after.noisy < before.noisy
    if worse:
        print("training made the answers with noise worse: the weights stay as they were")
    model = network.model if worse else network.with_weights(net.pairs())
    args.out.write_bytes(model.SerializeToString())
    print(f"wrote {args.out}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=Path, help=".onnx file")
    parser.add_argument("data", type=Path, help=".npz file with X and y")
    parser.add_argument("--out", type=Path, help="file to write (NETWORK-tuned.onnx)")
    parser.add_argument("--task", choices=("classification", "regression"), help="what the scores are, if the network leaves it open")
    parser.add_argument(
        "--rotations", type=bounded(int, 1, 64), default=2, help="rotations of each unit, of which more have less noise (%(default)s)"
    )
    parser.add_argument("--noise", type=bounded(float, 0, 100), default=8, help="factor of the noise in training (%(default)s)")
    parser.add_argument("--steps", type=bounded(int, 1, 1_000_000), default=2_000, help="(%(default)s)")
    parser.add_argument("--batch", type=bounded(int, 1, 100_000), default=128, help="rows for each step (%(default)s)")
    parser.add_argument("--lr", type=bounded(float, 1e-9, 1), default=2e-3, help="learning rate (%(default)s)")
    parser.add_argument("--decay", type=bounded(float, 0, 100), default=0.5, help="weight decay per step, times the learning rate (%(default)s)")
    parser.add_argument("--validation", type=bounded(float, 0.01, 0.5), help=f"share of X held out if there is no X_test ({VALIDATION})")
    parser.add_argument("--seed", type=int, default=1, help="(%(default)s)")
    args = parser.parse_args()
    args.out = args.out or args.network.with_name(f"{args.network.stem}-tuned.onnx")
    if args.out.resolve() == args.network.resolve():
        parser.error("--out is the network itself, which would be lost")
    torch.set_num_threads(1)
    keep_memory()
    try:
        run(args)
    except (NotTrained, layers.BadNetwork, table.BadTable, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
