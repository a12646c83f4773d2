"""MNIST's idx files, 2-bit pixels, and random distortions of handwritten digits."""

from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

import evaluate

LEVELS = 4
VALIDATION = 5_000


def load(folder, name):
    """Reads images (uint8 `[n, 28, 28]`) and labels (int64 `[n]`) of `train` or `t10k`."""
    images = np.fromfile(Path(folder) / f"{name}-images-idx3-ubyte", np.uint8)
    labels = np.fromfile(Path(folder) / f"{name}-labels-idx1-ubyte", np.uint8)
    assert images[:4].tolist() == [0, 0, 8, 3] and labels[:4].tolist() == [0, 0, 8, 1], "not idx files"
    return torch.from_numpy(images[16:].reshape(-1, 28, 28).copy()), torch.from_numpy(labels[8:].astype(np.int64))


def quantise(images, straighten):
    """Returns the model's inputs, uint8 `[n, 784]` in 0..3, from floats in 0..1 `[n, 1, 28, 28]`.

    Deskews the images first if `straighten` is set.
    """
    if straighten:
        images = torch.cat([torch.from_numpy(evaluate.deskew(part[:, 0].numpy())) for part in images.split(2_000)])
    return (images * (LEVELS - 1) + 0.5).floor().to(torch.uint8).flatten(1)


def _maps(n, strength, generator):
    """Returns random sampling grids `[n, 28, 28, 2]`: affine maps plus a smooth (elastic)
    displacement."""

    def uniform(low, high):
        return low + (high - low) * torch.rand(n, generator=generator)

    angle = uniform(-10, 10) * strength * torch.pi / 180
    shear = uniform(-0.1, 0.1) * strength
    zoom_x, zoom_y = (1 + uniform(-0.1, 0.1) * strength for _ in range(2))
    shift_x, shift_y = (uniform(-2, 2) * strength / 14 for _ in range(2))
    cos, sin = angle.cos(), angle.sin()
    rows = [cos * zoom_x, (shear - sin) * zoom_x, shift_x, sin * zoom_y, cos * zoom_y, shift_y]
    grid = F.affine_grid(torch.stack(rows, 1).view(n, 2, 3), (n, 1, 28, 28), align_corners=False)
    coarse = torch.randn(n, 2, 5, 5, generator=generator) * (0.8 * strength / 14)
    elastic = F.interpolate(coarse, size=(28, 28), mode="bilinear", align_corners=True)
    return grid + elastic.permute(0, 2, 3, 1)


def _strokes(x, strength, generator):
    """Thickens the strokes of some digits, and thins those of others."""
    kind = torch.rand(len(x), 1, 1, 1, generator=generator)
    amount = torch.rand(len(x), 1, 1, 1, generator=generator) * 0.6 * strength
    thick = F.max_pool2d(x, 3, 1, 1)
    thin = -F.max_pool2d(-x, 3, 1, 1)
    target = torch.where(kind < 0.2, thick, torch.where(kind > 0.85, thin, x))
    return x + amount * (target - x)


def distort(images, strength, generator, chunk=2_000):
    """Distorts each image at random: floats in 0..1 `[n, 1, 28, 28]`. Strength 1 is the largest."""
    out = torch.empty(len(images), 1, 28, 28)
    for start in range(0, len(images), chunk):
        x = images[start : start + chunk].unsqueeze(1).float() / 255
        x = F.grid_sample(x, _maps(len(x), strength, generator), align_corners=False)
        out[start : start + chunk] = _strokes(x, strength, generator)
    return out.clamp_(0, 1)
