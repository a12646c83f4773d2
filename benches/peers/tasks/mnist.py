"""MNIST's images and labels, as ``cargo xtask mnist`` fetches them."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def load(folder: Path, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns images ``(images, 784)``, from 0 (paper) to 1 (ink), and digits. ``part`` is "train"
    or "t10k".
    """
    pixels = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8)
    digits = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8)
    if pixels[:4].tolist() != [0, 0, 8, 3] or digits[:4].tolist() != [0, 0, 8, 1]:
        raise ValueError(f"{folder}: the files of {part} are not MNIST's")
    return pixels[16:].reshape(-1, 784) / 255.0, digits[8:].astype(np.int64)
