"""TenSEAL: CKKS of Microsoft SEAL."""

from __future__ import annotations

import time

import numpy as np
import tenseal

from ..tasks import Work, softmax
from . import Blobs, Keys, System, Unsupported

#: Degree, bits of the primes and of the scale: the smallest ring that SEAL allows for 128 bits.
PARAMETERS = {"linear": (4096, [38, 33, 38], 33), "network": (8192, [40, 32, 32, 32, 40], 32)}


class TenSEAL(System):
    """Scores the plain model.

    A row is a ciphertext, and a sum a product of vectors: for ten outputs, that is 25 times as fast
    as ``mm``, the product of a vector and a matrix. Of many rows, each feature is a ciphertext.
    """

    packages = ("tenseal",)
    security = "128 bits"

    def __init__(self, task: str, work: Work) -> None:
        super().__init__(task, work)
        if task not in PARAMETERS:
            raise Unsupported("no trees: CKKS can't compare numbers")
        degree, primes, scale = PARAMETERS[task]
        started = time.perf_counter()
        self._context = tenseal.context(tenseal.SCHEME_TYPE.CKKS, degree, coeff_mod_bit_sizes=primes)
        self._context.global_scale = 2**scale
        self._context.generate_galois_keys()
        public = self._context.serialize(save_secret_key=False)
        self.keys = Keys(time.perf_counter() - started, len(public))
        self._server = tenseal.context_from(public)
        self.scheme = f"CKKS, N = {degree:,}, {sum(primes)} bits"
        self.batch_rows = degree // 2
        self._columns = [[(column.tolist(), float(bias)) for column, bias in zip(weights.T, biases, strict=True)] for weights, biases in work.layers]

    def encrypt(self, row: int) -> Blobs:
        return [tenseal.ckks_vector(self._context, self.work.test[row].tolist()).serialize()]

    def score(self, query: Blobs) -> Blobs:
        row = tenseal.ckks_vector_from(self._server, query[0])
        sums = [row.dot(weights) + bias for weights, bias in self._columns[0]]
        for layer in self._columns[1:]:
            hidden = [value.square() for value in sums]
            sums = [
                sum((value * weight for value, weight in zip(hidden[1:], weights[1:], strict=True)), hidden[0] * weights[0]) + bias
                for weights, bias in layer
            ]
        return [value.serialize() for value in sums]

    def decrypt(self, response: Blobs) -> np.ndarray:
        scores = [tenseal.ckks_vector_from(self._context, blob).decrypt()[0] for blob in response]
        return softmax(np.array([scores]))[0]

    def encrypt_batch(self, rows: np.ndarray) -> Blobs:
        tensor = tenseal.ckks_tensor(self._context, tenseal.plain_tensor(rows), batch=True)
        return [tensor.reshape([1, rows.shape[1]]).serialize()]

    def score_batch(self, query: Blobs) -> Blobs:
        tensor = tenseal.ckks_tensor_from(self._server, query[0])
        for place, (weights, biases) in enumerate(self.work.layers):
            tensor = tensor.square() if place else tensor
            tensor = tensor.mm(tenseal.plain_tensor(weights)) + tenseal.plain_tensor(biases[None])
        return [tensor.serialize()]

    def decrypt_batch(self, response: Blobs) -> np.ndarray:
        scores = np.array(tenseal.ckks_tensor_from(self._context, response[0]).decrypt().tolist())
        return softmax(scores.reshape(self.batch_rows, -1))
