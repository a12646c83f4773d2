"""The projection network in training: latent weights that the forward pass rounds to integers."""

import torch
from torch import nn

READS = 8
SIDE = 28


class Reads(torch.autograd.Function):
    """`clip(fold(p + t) / width, -1, 1)` for projections `[n, h]` and thresholds `[k, h]`.

    `fold(u) = u` up to |u| = 1, and `2 - u` or `-2 - u` beyond, which continues the function with
    `f(u + 2) = -f(u)`.
    """

    @staticmethod
    def forward(ctx, p, threshold, width):
        u = p.unsqueeze(1) + threshold
        slope = width.reciprocal()
        ratio = u.clamp(-1, 1).mul_(2).sub_(u).mul_(slope)
        ctx.save_for_backward(u, ratio, slope)
        return ratio.clamp(-1, 1)

    @staticmethod
    def backward(ctx, gradient):
        u, ratio, slope = ctx.saved_tensors
        inside = torch.ops.aten.hardtanh_backward(gradient, ratio, -1, 1)
        grad_width = -ratio.mul_(inside).sum((0, 1)) * slope
        grad_u = torch.ops.aten.hardtanh_backward(inside, u, -1, 1).mul_(2).sub_(inside)
        return grad_u.sum(1) * slope, grad_u.sum(0) * slope, grad_width


def rounded(latent, limit):
    """Rounds latents in [-1, 1] to integers; the gradient passes straight through."""
    scaled = latent * limit
    return scaled + (scaled.round() - scaled).detach()


class ProjectionNet(nn.Module):
    """`logits = scale * (sum over h, k of v[c, h, k] * read(p[h] + t[h, k])) + bias` with
    `p = (w x + b) / range`."""

    def __init__(self, w, mask, outputs, limits, noise, x, generator):
        """Creates a network from latents `w` and their mask, both `[projections, features]`.

        Latents outside the mask stay zero. `limits` are the largest |w| and |v|, `noise` is the
        standard deviation of the noise on p in training, and the inputs `x` `[n, features]` set the
        range.
        """
        super().__init__()
        projections = len(w)
        self.noise = noise
        self.w_max, self.v_max = limits
        self.register_buffer("mask", mask)
        self.w = nn.Parameter((w * 0.35).clamp(-1, 1) * self.mask)
        sums = x @ (self.w.data * self.w_max).round().T
        self.log_range = nn.Parameter((sums.std() * 3).log())
        self.b = nn.Parameter(-sums.mean(0) / self.log_range.data.exp())
        grid = torch.linspace(-0.75, 0.75, READS).unsqueeze(1).repeat(1, projections)
        self.threshold = nn.Parameter(grid + 0.03 * torch.randn(grid.shape, generator=generator))
        self.log_width = nn.Parameter(torch.full((projections,), 0.25).log())
        self.v = nn.Parameter(0.3 * torch.randn(outputs, READS, projections, generator=generator))
        self.log_scale = nn.Parameter(torch.tensor(2 / (projections * READS) ** 0.5).log())
        self.bias = nn.Parameter(torch.zeros(outputs))

    def projections(self, x):
        return x @ (rounded(self.w * self.mask, self.w_max).T / self.log_range.exp()) + self.b

    def forward(self, x):
        """Returns logits and noiseless projections for inputs given as levels 0, 1, 2, ..."""
        p = self.projections(x)
        noisy = p + self.noise * torch.randn_like(p) if self.training else p
        reads = Reads.apply(noisy, self.threshold, self.log_width.exp())
        v = rounded(self.v, self.v_max).flatten(1)
        return reads.flatten(1) @ v.T * self.log_scale.exp() + self.bias, p

    @torch.no_grad()
    def clamp(self):
        """Clamps the latents so that rounding keeps them within their limits."""
        self.w.clamp_(-1, 1)
        self.v.clamp_(-1, 1)
        self.threshold.clamp_(-0.75, 0.75)
        self.log_width.clamp_(-3, 0)

    @torch.no_grad()
    def integers(self):
        """Returns the arrays of the model file, its range, and the scale of its logits."""
        scale, size = self.log_scale.exp(), self.log_range.exp().round()
        arrays = {
            "w": (self.w * self.mask * self.w_max).round().to(torch.int8),
            "b": (self.b * size).round().to(torch.int32),
            "width": self.log_width.exp().float(),
            "threshold": (self.threshold.T * 256).round().to(torch.int16),
            "v": (self.v.transpose(1, 2) * self.v_max).round().to(torch.int8),
            "bias": (self.bias / scale).float(),
        }
        return {name: array.contiguous().numpy() for name, array in arrays.items()}, int(size), float(scale)


def image_start(projections, window, generator):
    """Returns latents and mask for projections of images: smooth, each in a window."""
    mask = windows(projections, window, generator)
    w = torch.randn(projections, SIDE, SIDE, generator=generator)
    return nn.functional.avg_pool2d(w, 3, 1, 1, count_include_pad=False).flatten(1) * 3, mask


def table_start(projections, used, generator):
    """Returns latents and mask for projections of unordered features; features that are not `used`
    (bool `[features]`) get no weight."""
    mask = used.float().expand(projections, -1).clone()
    return torch.randn(mask.shape, generator=generator), mask


def windows(projections, side, generator):
    """Returns masks `[projections, 784]`: a square window at a random place for every projection.

    Windows tend inwards because the margins of the images are empty.
    """
    mask = torch.zeros(projections, SIDE, SIDE)
    places = torch.rand(projections, 2, generator=generator)
    low, high = min(2, SIDE - side), max(SIDE - side - 2, 0)
    for h, (row, column) in enumerate((low + places * max(high - low, 0)).round().long().tolist()):
        mask[h, row : row + side, column : column + side] = 1
    return mask.flatten(1)
