"""A fully connected network in torch, and the noise that encryption adds to it."""

import math

import torch
from torch.nn import functional as F

# Standard deviations on the torus of a modulus switch to 2,048 steps for one rotation, and of a key
# switch: the table of docs/cryptography.md, "Networks with hidden layers". The former is divided by
# the number of rotations ("Modulus switches round alike"), the latter is common to all of them.
MODULUS_SWITCH, KEY_SWITCH = 2**-8.9, 2**-10.5
# Share of the range of a unit's sums by which it is widened on both sides: docs/networks.md, "What
# makes a network precise under encryption".
WIDEN = 0.2
# Activations about as linear as ReLU, `z / 2 + |z| / 2`: a table holds the second part only, and
# its period is the range. Other tables have all of the function, and a period of twice the range.
# See docs/networks.md, "Linear parts stay linear".
BENT = ("Elu", "LeakyRelu", "Relu", "Softplus")
FUNCTIONS = {
    "Elu": F.elu,
    "LeakyRelu": lambda z, alpha: F.leaky_relu(z, alpha),
    "Relu": F.relu,
    "Sigmoid": torch.sigmoid,
    "Softplus": F.softplus,
    "Softsign": F.softsign,
    "Tanh": torch.tanh,
}


class NoisyNet(torch.nn.Module):
    """The layers of a network. A unit's noise is that of its phase times the period of its table,
    which follows from the range of its sums."""

    def __init__(self, layers, pairs, rotations):
        super().__init__()
        self.layers, self.rotations = layers, rotations
        self.w = torch.nn.ParameterList(torch.tensor(matrix, dtype=torch.float32) for matrix, _ in pairs)
        # A layer without a bias has nowhere to write one.
        self.b = torch.nn.ParameterList(
            torch.nn.Parameter(torch.tensor(bias, dtype=torch.float32), layer.bias is not None)
            for layer, (_, bias) in zip(layers, pairs, strict=True)
        )

    def forward(self, x, deviations=None, generator=None):
        """Returns the scores, with noise of these `deviations`, or without."""
        for place, layer in enumerate(self.layers):
            z = x @ self.w[place] + self.b[place]
            if deviations is None:
                x = value(layer, z)
            else:
                # The table is read at a phase with noise, and the linear part beside it without.
                noise = deviations[place] * torch.randn(z.shape, generator=generator)
                x = value(layer, z + noise) - slope(layer) * noise
        return x

    def deviations(self, rows):
        """Returns the standard deviation of the noise on the sums of each layer, by their range on
        these rows.

        It can be differentiated, so that training makes ranges smaller.
        """
        found, x, linear = [], rows, rows
        for place, layer in enumerate(self.layers):
            z = x @ self.w[place] + self.b[place]
            linear = linear @ self.w[place]
            if place + 1 == len(self.layers):
                # A unit for the linear part of each score, which has a table of all of it.
                found.append(self.phase(first=True) * 2 * width(linear))
            elif layer.activation is None:
                found.append(torch.zeros(z.shape[1]))
            else:
                period = width(z) * (1 if layer.activation in BENT else 2)
                found.append(self.phase(first=place == 0) * period)
            x, linear = value(layer, z), slope(layer) * linear
        return found

    def phase(self, first):
        """Returns the standard deviation of a phase, averaged over rotations: sums of features take
        no key switch."""
        return math.hypot(MODULUS_SWITCH / self.rotations, 0 if first else KEY_SWITCH)

    def pairs(self):
        """Returns the weights and the bias of each layer as numpy arrays."""
        return [(w.detach().numpy(), b.detach().numpy()) for w, b in zip(self.w, self.b, strict=True)]


def value(layer, z):
    """Returns the value of a layer's activation."""
    return z if layer.activation is None else FUNCTIONS[layer.activation](z, **layer.attributes)


def slope(layer):
    """Returns the factor of the linear part beside a layer's tables; a layer without an activation
    is linear."""
    if layer.activation is None:
        return 1.0
    if layer.activation not in BENT:
        return 0.0
    return (1 + layer.attributes["alpha"]) / 2 if layer.activation == "LeakyRelu" else 0.5


def width(sums):
    """Returns the width of the range of each unit's sums, widened."""
    return (1 + 2 * WIDEN) * (sums.amax(0) - sums.amin(0))
