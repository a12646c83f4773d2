"""Users of the bundled models: keys, encrypted queries, and what the models say in the clear."""

import json
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

import blindscore
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "models/net"))

import evaluate  # noqa: E402

#: The models (`digits` is published, the other one bundled), and by how much a decrypted score may
#: differ from the plain one: some more than the largest difference on
#: 10,000 images (docs/measurements.md).
TOLERANCES = {"digits": 0.015, "mnist-net-small": 2.5}
_LINEAR = ROOT / "models/mnist-linear.safetensors"
#: Queries that a user has.
_QUERIES = 3


def _image(rng: np.random.Generator) -> np.ndarray:
    """Draws four blobs. Pixels are 0..1, in steps of 1/255."""
    rows, columns = np.mgrid[:28, :28]
    image = np.zeros((28, 28))
    for _ in range(4):
        row, column = rng.uniform(8, 20, 2)
        image = np.maximum(image, np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 8))
    return np.round(image * 255) / 255


def _linear(image: np.ndarray) -> np.ndarray:
    tensors, _ = evaluate.read(_LINEAR)
    return tensors["coef"] @ image.ravel() + tensors["intercept"]


def _network(image: np.ndarray) -> np.ndarray:
    tensors, about = evaluate.read(ROOT / "models/net/mnist-net-small.safetensors")
    straight = evaluate.deskew(image[None].astype(np.float32))
    levels = np.floor(3 * straight + 0.5).astype(np.int32).reshape(1, -1)
    logits = evaluate.scores(tensors, evaluate.projections(tensors, float(about["range"]), levels))[0]
    return logits * float(about["logit_scale"])


_PLAIN = {"digits": _linear, "mnist-net-small": _network}


def digits() -> bytes:
    """Returns the model file of `digits`: the bundled linear model under another name."""
    content = _LINEAR.read_bytes()
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"]["name"] = "digits"
    renamed = json.dumps(header).encode()
    renamed += b" " * (-len(renamed) % 8)
    return struct.pack("<Q", len(renamed)) + renamed + content[8 + length :]


@dataclass
class Query:
    """A query and the scores that its response has to have."""

    blob: bytes
    plain: np.ndarray


class User:
    """A user of a model, with an evaluation key that is not uploaded yet."""

    def __init__(self, client: blindscore.Client, rng: np.random.Generator) -> None:
        self.model = client.model.name
        self.key = blindscore.SecretKey.generate(client.model)
        self.public_key, self.id = self.key.public_key()
        self._rng = rng
        self.queries: list[Query] = []

    def encrypt(self) -> None:
        """Makes the queries, for the last evaluation key."""
        images = [_image(self._rng) for _ in range(_QUERIES)]
        self.queries = [Query(self.key.encrypt(image.ravel().tolist()), _PLAIN[self.model](image)) for image in images]

    def error(self, query: Query, response: bytes) -> float:
        """Returns the largest difference of a score from the plain one."""
        scores = self.key.decrypt(response, query=query.blob).scores
        return float(np.abs(np.array(scores) - query.plain).max())

    def is_right(self, query: Query, response: bytes) -> bool:
        """Tells whether a response has the model's scores."""
        return self.error(query, response) <= TOLERANCES[self.model]
