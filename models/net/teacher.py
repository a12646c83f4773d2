"""The teacher: a small convolutional network whose soft labels train the integer model.

It never sees the validation images. Its logits on distorted copies of all training images are
cached on disk and shared by all runs of `train.py`.
"""

import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import data

# Strengths of the distortions, used in turn.
STRENGTHS = [1.0, 0.7, 0.4]


def network():
    """Returns a network of three convolutions; 99.4-99.6 % with distorted training images."""

    def block(inputs, outputs, size, **kwargs):
        conv = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False, **kwargs)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *block(1, 32, 5, stride=2),
        *block(32, 48, 3),
        nn.MaxPool2d(2),
        *block(48, 96, 3),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(96 * 16, 10),
    ).to(memory_format=torch.channels_last)


@torch.no_grad()
def logits(model, x, chunk=500):
    """Returns the network's outputs for floats `[n, 1, 28, 28]`."""
    model.eval()
    return torch.cat([model(part.contiguous(memory_format=torch.channels_last)) for part in x.split(chunk)])


def fit(images, labels, epochs, seed, batch=128):
    """Trains the teacher on all but the validation images, with new distortions in every epoch."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    x, y = images[: -data.VALIDATION], labels[: -data.VALIDATION]
    held, held_y = images[-data.VALIDATION :].unsqueeze(1) / 255, labels[-data.VALIDATION :]
    model = network()
    steps = epochs * (len(x) // batch)
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps, pct_start=0.2)
    for epoch in range(epochs):
        start = time.time()
        model.train()
        pixels = data.distort(x, 1.0 if epoch < epochs - 1 else 0.7, generator)
        for index in torch.randperm(len(x), generator=generator)[: len(x) // batch * batch].split(batch):
            optimiser.zero_grad()
            part = pixels[index].contiguous(memory_format=torch.channels_last)
            F.cross_entropy(model(part), y[index], label_smoothing=0.02).backward()
            optimiser.step()
            schedule.step()
        share = (logits(model, held).argmax(1) == held_y).float().mean().item()
        spent = time.time() - start
        print(f"teacher, epoch {epoch + 1}: {share:.4f} of the validation images, {spent:.0f} s", flush=True)
    return model


def copies(folder, images, labels, count, epochs, seed, straighten):
    """Returns a cached list of `(pixels uint8 [n, 784], teacher's logits float16 [n, 10])`.

    The undistorted images come first, then `count` distorted copies. The teacher sees them before
    they are deskewed.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model, found = network(), []
    weights = folder / "teacher.pt"
    if weights.exists():
        model.load_state_dict(torch.load(weights))
    else:
        model = fit(images, labels, epochs, seed)
        torch.save(model.state_dict(), weights)
    for number in range(count + 1):
        path = folder / f"copy-{number}.pt"
        if not path.exists():
            generator = torch.Generator().manual_seed(1_000 * (seed + 1) + number)
            strength = STRENGTHS[(number - 1) % len(STRENGTHS)]
            pixels = data.distort(images, strength, generator) if number else images.unsqueeze(1) / 255
            variants = data.quantise(pixels, False), data.quantise(pixels, True)
            torch.save((*variants, logits(model, pixels).half()), path)
        upright, straightened, opinions = torch.load(path, mmap=True)
        found.append((straightened if straighten else upright, opinions))
    return found
