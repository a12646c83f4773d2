"""The work that every system is given: rows, and a plain model that is fitted once."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

#: Names of the tasks, in the order of the table.
TASKS = ("linear", "trees", "network")


@dataclasses.dataclass
class Work:
    """A task, as a system's process reads it from its folder.

    Attributes:
        folder: Folder of the task, with the plain model's file, if it has one.
        train: Rows for ranges and roundings.
        targets: Classes of these rows.
        test: Rows to score.
        layers: Weights ``(features, units)`` and biases of a linear model or a network; units are
            squared between layers.
        settings: What the model was fitted with.
    """

    folder: Path
    train: np.ndarray
    targets: np.ndarray
    test: np.ndarray
    layers: list[tuple[np.ndarray, np.ndarray]]
    settings: dict[str, Any]

    def save(self) -> None:
        """Writes all but the plain model's file."""
        weights = {f"{kind}{place}": array for place, layer in enumerate(self.layers) for kind, array in zip("wb", layer, strict=True)}
        np.savez(self.folder / "rows.npz", train=self.train, targets=self.targets, test=self.test, **weights)
        (self.folder / "settings.json").write_text(json.dumps(self.settings))

    @classmethod
    def load(cls, folder: Path) -> Work:
        """Reads what :meth:`save` wrote."""
        with np.load(folder / "rows.npz", allow_pickle=False) as file:
            arrays = dict(file)
        depth = sum(name.startswith("w") for name in arrays)
        layers = [(arrays[f"w{place}"], arrays[f"b{place}"]) for place in range(depth)]
        settings = json.loads((folder / "settings.json").read_text())
        return cls(folder, arrays["train"], arrays["targets"], arrays["test"], layers, settings)


@dataclasses.dataclass
class Task:
    """A task, as the run knows it.

    Attributes:
        title: What the table calls it.
        work: What the systems get.
        expected: Probabilities by the plain model, ``(rows, classes)``.
        classes: Right classes of the rows.
    """

    name: str
    title: str
    work: Work
    expected: np.ndarray
    classes: np.ndarray


def softmax(scores: np.ndarray) -> np.ndarray:
    """Returns the probabilities that belong to scores ``(rows, classes)``."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
