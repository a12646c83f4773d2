#!/usr/bin/env python3
"""Trains a projection network with integer weights on MNIST and writes it as a safetensors file.

    python3 -m venv .venv && .venv/bin/pip install -r models/net/requirements.txt
    .venv/bin/python models/net/train.py target/mnist --projections 128 \\
        --out models/net/mnist-net.safetensors

The first run also trains the teacher and caches distorted copies of the images (--cache). Choices
are made on the last 5,000 training images, which are held out unless --full is given; the test
images are only used with --out.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional as F

import data
import evaluate
import teacher
from model import ProjectionNet, image_start
from training import descend, edge, keep_memory

BATCH = 256
LABEL_SHARE = 0.1


def loss(logits, p, labels, opinion, penalty, temperature):
    """Adds up the losses on labels and on the teacher's soft labels, and a penalty on projections
    near the end of their range."""
    target = F.softmax(opinion / temperature, 1)
    soft = F.kl_div(F.log_softmax(logits / temperature, 1), target, reduction="batchmean")
    hard = F.cross_entropy(logits, labels)
    return LABEL_SHARE * hard + (1 - LABEL_SHARE) * temperature**2 * soft + penalty * edge(p)


def fit(args, copies, labels, kept):
    """Trains a network and returns it with the averaged latents of the last steps."""
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    sample = copies[0][0][:2_000].float()
    start = image_start(args.projections, args.window, generator)
    net = ProjectionNet(*start, 10, (args.w_max, args.v_max), args.noise, sample, generator)
    per_epoch = kept // BATCH

    def batches(epoch):
        pixels, opinions = copies[1 + epoch % (len(copies) - 1)]
        for index in torch.randperm(kept, generator=generator)[: per_epoch * BATCH].split(BATCH):
            x = pixels[index]
            if args.jitter:
                move = torch.randint(-args.jitter, args.jitter + 1, (2,), generator=generator).tolist()
                x = x.view(-1, 28, 28).roll(move, (1, 2)).flatten(1)
            yield x.float(), labels[index], opinions[index].float()

    def taught(logits, p, labels, opinion):
        return loss(logits, p, labels, opinion, args.penalty, args.temperature)

    return descend(net, batches, taught, args.epochs, per_epoch, args.lr, args.average)


def export(args, tensors, size, factor, train_x):
    """Writes the model file, with its accuracy on the test images, and prints the report."""
    x, labels = evaluate.mnist(args.mnist, "t10k", args.deskew)
    report = evaluate.report(tensors, size, x, labels)
    deviation = np.abs(evaluate.scores(tensors, evaluate.projections(tensors, size, train_x)) - tensors["bias"]).max()
    metadata = {
        "name": args.name,
        "title": args.title,
        "labels": json.dumps([str(c) for c in range(10)]),
        "link": "softmax",
        "input_min": "0",
        "input_max": "1",
        "input_levels": "4",
        "image": "28x28",
        "deskew": str(args.deskew).lower(),
        "range": str(size),
        "logit_scale": f"{factor:.6f}",
        "max_logit": f"{deviation:.2f}",
        "accuracy": f"{report['accuracy']:.4f}",
        "accuracy_noisy": f"{report['accuracy, noise 0.008 (mean of 3)']:.4f}",
    }
    # safetensors writes an array's memory as is.
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, args.out, metadata=metadata)
    written, _ = evaluate.read(args.out)
    assert all(np.array_equal(written[name], array) for name, array in tensors.items())
    print("test:", json.dumps(report))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path, help="folder with MNIST's idx files")
    parser.add_argument("--out", type=Path, help="safetensors file to write")
    parser.add_argument("--name", default="mnist-net")
    parser.add_argument("--title", default="Handwritten digits, neural network")
    parser.add_argument("--projections", type=int, default=128)
    parser.add_argument("--window", type=int, default=14, help="side of the square that a projection sees")
    parser.add_argument("--w-max", type=int, default=3, help="largest weight of a projection")
    parser.add_argument("--v-max", type=int, default=3, help="largest weight of a read")
    parser.add_argument("--epochs", type=int, default=360)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lr", type=float, default=4e-2)
    parser.add_argument("--average", type=float, default=0.998, help="decay of the average over the latents")
    parser.add_argument("--noise", type=float, default=0.05, help="deviation of the noise on a projection, in units of p")
    parser.add_argument("--penalty", type=float, default=0.05)
    parser.add_argument("--temperature", type=float, default=1.0, help="softens the teacher's labels")
    parser.add_argument("--jitter", type=int, default=1, help="shifts every batch by up to so many pixels")
    parser.add_argument("--deskew", action=argparse.BooleanOptionalAction, default=True, help="clients deskew the images")
    parser.add_argument("--full", action="store_true", help="train on the validation images, too")
    parser.add_argument("--cache", type=Path, default=Path("target/mnist-teacher"))
    parser.add_argument("--copies", type=int, default=12, help="distorted copies of the images")
    parser.add_argument("--teacher-epochs", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_memory()

    images, labels = data.load(args.mnist, "train")
    copies = teacher.copies(args.cache, images, labels, args.copies, args.teacher_epochs, 1, args.deskew)
    kept = len(labels) - (0 if args.full else data.VALIDATION)
    net = fit(args, copies, labels, kept)
    tensors, size, _ = net.integers()
    x, y = copies[0][0].numpy(), labels.numpy()
    held = slice(len(y) - data.VALIDATION, None)
    print("validation (trained on, too):" if args.full else "validation:", end=" ")
    print(json.dumps(evaluate.report(tensors, size, x[held], y[held])), flush=True)
    if not args.full:
        # A more precise measure for choices: the validation images with all their distortions.
        for name, part in (("validation", held), ("training", slice(0, data.VALIDATION))):
            shares = []
            for pixels, _ in copies[1:7]:
                p = evaluate.projections(tensors, size, pixels[part].numpy())
                shares.append(evaluate.accuracy(tensors, p, y[part]))
            print(f"{name}, distorted copies: {np.mean(shares):.4f}, weakest: {np.mean(shares[2::3]):.4f}", flush=True)
    if args.out is not None:
        export(args, tensors, size, evaluate.calibrated(tensors, size, x[held], y[held]), x)


if __name__ == "__main__":
    main()
