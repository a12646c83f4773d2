#!/usr/bin/env python3
"""Trains a projection network with integer weights on MNIST and writes it as a safetensors file.

    python3 -m venv .venv && .venv/bin/pip install -r models/net/requirements.txt
    .venv/bin/python models/net/train.py target/mnist --projections 128 --out models/net/mnist-net.safetensors

The first run also trains the teacher and caches distorted copies of the images (--cache). Choices are made on the last
5,000 training images, which are held out unless --full is given; the test images are only looked at when --out is.
"""

import argparse
import ctypes
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional as F

import data
import evaluate
import teacher
from model import ProjectionNet

BATCH = 256
LABEL_SHARE = 0.1
# Projections beyond this are penalised.
EDGE = 0.85


def loss(logits, p, labels, opinion, penalty, temperature):
    """Labels, the teacher's soft labels, and a penalty on projections near the end of their range."""
    target = F.softmax(opinion / temperature, 1)
    soft = F.kl_div(F.log_softmax(logits / temperature, 1), target, reduction="batchmean")
    edge = (p.abs() - EDGE).relu_().square().sum(1).mean()
    hard = F.cross_entropy(logits, labels)
    return LABEL_SHARE * hard + (1 - LABEL_SHARE) * temperature**2 * soft + penalty * edge


def rate(step, steps, warmup):
    """Linear warm-up, then a cosine down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def fit(args, copies, labels, kept):
    """The trained network, with the averaged latents of the last steps."""
    torch.manual_seed(args.seed)
    generator = torch.Generator().manual_seed(args.seed)
    sample = copies[0][0][:2_000].float()
    net = ProjectionNet(args.projections, args.window, (args.w_max, args.v_max), args.noise, sample, generator)
    rest = [p for p in net.parameters() if p is not net.w]
    groups = [{"params": [net.w], "base": args.lr}, {"params": rest, "base": 0.6 * args.lr}]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.98), fused=True)
    average = {name: p.detach().clone() for name, p in net.named_parameters()}
    per_epoch = kept // BATCH
    steps, step = args.epochs * per_epoch, 0
    for epoch in range(args.epochs):
        start, total = time.time(), 0.0
        pixels, opinions = copies[1 + epoch % (len(copies) - 1)]
        net.train()
        for index in torch.randperm(kept, generator=generator)[: per_epoch * BATCH].split(BATCH):
            factor = rate(step, steps, per_epoch)
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor
            x = pixels[index]
            if args.jitter:
                move = torch.randint(-args.jitter, args.jitter + 1, (2,), generator=generator).tolist()
                x = x.view(-1, 28, 28).roll(move, (1, 2)).flatten(1)
            logits, p = net(x.float())
            value = loss(logits, p, labels[index], opinions[index].float(), args.penalty, args.temperature)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            net.clamp()
            decay = min(args.average, (step + 1) / (step + 10))
            with torch.no_grad():
                for name, parameter in net.named_parameters():
                    average[name].lerp_(parameter, 1 - decay)
            total += value.item()
            step += 1
        if epoch % 5 == 4 or epoch == args.epochs - 1:
            print(f"epoch {epoch + 1}: loss {total / per_epoch:.4f}, {time.time() - start:.1f} s an epoch", flush=True)
    net.load_state_dict(average, strict=False)
    return net.eval()


def calibrated(tensors, size, x, labels):
    """The factor on integer logits that makes their softmax the most likely on these images."""
    logits = evaluate.scores(tensors, evaluate.projections(tensors, size, x))
    best = (np.inf, 1.0)
    for factor in np.geomspace(1e-3, 1, 400):
        scaled = logits * factor
        top = scaled.max(1, keepdims=True)
        likely = scaled[np.arange(len(labels)), labels] - top[:, 0] - np.log(np.exp(scaled - top).sum(1))
        best = min(best, (-likely.mean(), factor))
    return best[1]


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
    # safetensors writes an array's memory as it lies.
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, args.out, metadata=metadata)
    written, _ = evaluate.read(args.out)
    assert all(np.array_equal(written[name], array) for name, array in tensors.items())
    print("test:", json.dumps(report))


def keep_memory():
    """Stops glibc from returning every temporary array to the system, which makes the training three times faster."""
    trim_threshold, mmap_threshold = -1, -3
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 1 << 30)
    except OSError:
        pass


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
    parser.add_argument("--deskew", action=argparse.BooleanOptionalAction, default=True, help="clients straighten the images")
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
        # A finer measure for choosing: the validation images with all their distortions.
        for name, part in (("validation", held), ("training", slice(0, data.VALIDATION))):
            shares = []
            for pixels, _ in copies[1:7]:
                p = evaluate.projections(tensors, size, pixels[part].numpy())
                shares.append(evaluate.accuracy(tensors, p, y[part]))
            print(f"{name}, distorted copies: {np.mean(shares):.4f}, weakest: {np.mean(shares[2::3]):.4f}", flush=True)
    if args.out is not None:
        export(args, tensors, size, calibrated(tensors, size, x[held], y[held]), x)


if __name__ == "__main__":
    main()
