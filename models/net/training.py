"""Common parts of all training: the descent, its learning rate, and averaged latents."""

import ctypes
import math
import time

import torch

# Absolute value beyond which projections are penalised.
EDGE = 0.85


def rate(step, steps, warmup):
    """Returns the factor of the learning rate: linear warm-up, then a cosine down to zero."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))


def edge(p):
    """Returns the penalty on projections near the end of their range."""
    return (p.abs() - EDGE).relu_().square().sum(1).mean()


def descend(net, batches, loss, epochs, per_epoch, lr, average, every=5):
    """Trains `net` on the `per_epoch` batches of each `batches(epoch)`.

    A batch has inputs, followed by the further arguments of `loss(logits, p, *rest)`. The latents
    are set to their moving average over the last steps. Prints progress every `every` epochs.
    """
    rest = [p for p in net.parameters() if p is not net.w]
    groups = [{"params": [net.w], "base": lr}, {"params": rest, "base": 0.6 * lr}]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.98), fused=True)
    averages = {name: p.detach().clone() for name, p in net.named_parameters()}
    steps, step = epochs * per_epoch, 0
    for epoch in range(epochs):
        start, total = time.time(), 0.0
        net.train()
        for x, *targets in batches(epoch):
            factor = rate(step, steps, per_epoch)
            for group in optimiser.param_groups:
                group["lr"] = group["base"] * factor
            logits, p = net(x)
            value = loss(logits, p, *targets)
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
            net.clamp()
            decay = min(average, (step + 1) / (step + 10))
            with torch.no_grad():
                for name, parameter in net.named_parameters():
                    averages[name].lerp_(parameter, 1 - decay)
            total += value.item()
            step += 1
        if epoch % every == every - 1 or epoch == epochs - 1:
            print(f"epoch {epoch + 1}: loss {total / per_epoch:.4f}, {time.time() - start:.1f} s an epoch", flush=True)
    net.load_state_dict(averages, strict=False)
    return net.eval()


def keep_memory():
    """Keeps glibc from returning every temporary array to the system, which makes training three
    times faster."""
    trim_threshold, mmap_threshold = -1, -3
    try:
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(mmap_threshold, 32 << 20)
        libc.mallopt(trim_threshold, 1 << 30)
    except OSError:
        pass
