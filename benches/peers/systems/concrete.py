"""Concrete ML, through its API for deployment."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from concrete import fhe
from concrete.ml.deployment import FHEModelClient, FHEModelDev, FHEModelServer

from ..tasks import Work, softmax
from . import Blobs, Keys, System

#: Bits of a network's pixels, weights and units, and of the sums that are looked up. More bits take
#: tables that Concrete doesn't have (16 bits at most), fewer cost accuracy.
NETWORK_BITS = 6
#: Rows from which the compiler takes ranges.
COMPILED = 500


def linear(work: Work) -> object:
    """Rounds the plain model, with the default number of bits (8)."""
    from concrete.ml.sklearn import LogisticRegression
    from sklearn.linear_model import LogisticRegression as Plain

    plain = Plain()
    weights, bias = work.layers[0]
    plain.coef_, plain.intercept_ = np.ascontiguousarray(weights.T), bias
    plain.classes_, plain.n_features_in_, plain.n_iter_ = np.arange(len(bias)), len(weights), np.array([0])
    model = LogisticRegression.from_sklearn_model(plain, work.train)
    model.compile(work.train)
    return model


def trees(work: Work) -> object:
    """Fits trees to rounded columns, with the default number of bits (6), as its guide does."""
    from concrete.ml.sklearn import XGBClassifier

    model = XGBClassifier(**work.settings)
    model.fit(work.train, work.targets)
    model.compile(work.train)
    return model


def network(work: Work) -> object:
    """Rounds the plain model after its training."""
    import onnx
    from concrete.ml.torch.compile import compile_onnx_model

    model = onnx.load(work.folder / "model.onnx")
    rounding = {"n_bits": NETWORK_BITS, "method": "approximate"}
    return compile_onnx_model(model, work.train[:COMPILED], n_bits=NETWORK_BITS, rounding_threshold_bits=rounding)


class Concrete(System):
    """Rounds all numbers to a few bits. Its answers to rounded rows are exact, but for a small
    chance of an error.
    """

    packages = ("concrete-ml", "concrete-python")
    security = "128 bits"

    def __init__(self, task: str, work: Work) -> None:
        super().__init__(task, work)
        self._model = {"linear": linear, "trees": trees, "network": network}[task](work)
        self._files = tempfile.TemporaryDirectory(prefix="peers-")
        folder = str(Path(self._files.name) / "deployed")
        FHEModelDev(folder, self._model).save()
        self._client, self._server = FHEModelClient(folder), FHEModelServer(folder)
        started = time.perf_counter()
        self._client.generate_private_and_evaluation_keys(force=True)
        evaluation = self._client.get_serialized_evaluation_keys()
        self.keys = Keys(time.perf_counter() - started, len(evaluation))
        # Its server would otherwise read and expand the keys for each row.
        self._evaluation = fhe.EvaluationKeys.deserialize(evaluation)
        bootstraps = self._model.fhe_circuit.programmable_bootstrap_count
        self.scheme = f"TFHE, {bootstraps:,} bootstrappings a row"

    def encrypt(self, row: int) -> Blobs:
        return [self._client.quantize_encrypt_serialize(self.work.test[[row]])]

    def score(self, query: Blobs) -> Blobs:
        return [self._server.run(query[0], self._evaluation)]

    def decrypt(self, response: Blobs) -> np.ndarray:
        return self._probabilities(self._client.deserialize_decrypt_dequantize(response[0]))[0]

    def simulate(self) -> np.ndarray:
        if self.task == "network":
            return self._probabilities(self._model.forward(self.work.test, fhe="simulate"))
        return self._model.predict_proba(self.work.test, fhe="simulate")

    def _probabilities(self, answers: np.ndarray) -> np.ndarray:
        return softmax(answers) if self.task == "network" else np.asarray(answers)

    def close(self) -> None:
        self._files.cleanup()
