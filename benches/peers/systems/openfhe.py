"""OpenFHE: CKKS."""

from __future__ import annotations

import time

import numpy as np
import openfhe

from ..tasks import Work, softmax
from . import Blobs, Keys, System, Unsupported

#: Multiplications one after the other, and bits of the first prime and of the others. OpenFHE
#: chooses the ring for 128 bits; these give 8,192.
PARAMETERS = {"linear": (1, 50, 40), "network": (3, 42, 32)}


def power(number: int) -> int:
    """Returns the smallest power of two that is not below a number."""
    return 1 << (number - 1).bit_length()


class Product:
    """Product of a matrix in the clear and an encrypted vector that repeats in all slots.

    Both sides are filled up to powers of two. The matrix's diagonals are multiplied by rotations of
    the vector, in baby and giant steps, and sums over the rotated vector give each output, repeated
    in all slots: the hybrid method of Gazelle with few rotations.
    """

    def __init__(self, weights: np.ndarray, biases: np.ndarray, slots: int, context: openfhe.CryptoContext, level: int) -> None:
        self.width, self.height = power(weights.shape[0]), power(weights.shape[1])
        matrix = np.zeros((self.height, self.width))
        matrix[: weights.shape[1], : weights.shape[0]] = weights.T
        self.baby = 1 << ((self.height.bit_length() - 1) // 2)
        places = np.arange(slots)
        self._context, self._order = context, context.GetCyclotomicOrder()
        self._diagonals = []
        for step in range(self.height):
            diagonal = matrix[places % self.height, (places + step) % self.width]
            shifted = np.roll(diagonal, step // self.baby * self.baby)
            self._diagonals.append(context.MakeCKKSPackedPlaintext(shifted.tolist(), 1, level))
        bias = np.zeros(self.height)
        bias[: len(biases)] = biases
        self._bias = context.MakeCKKSPackedPlaintext(np.tile(bias, slots // self.height).tolist(), 1, level + 1)

    def rotations(self) -> set[int]:
        """Returns the rotations that need keys."""
        giants = range(self.baby, self.height, self.baby)
        return {*range(1, self.baby), *giants, *self._sums()}

    def _sums(self) -> list[int]:
        return [self.height << step for step in range((self.width // self.height).bit_length() - 1)]

    def __call__(self, vector: openfhe.Ciphertext) -> openfhe.Ciphertext:
        context = self._context
        digits = context.EvalFastRotationPrecompute(vector)
        turned = [vector, *(context.EvalFastRotation(vector, step, self._order, digits) for step in range(1, self.baby))]
        result = None
        for start in range(0, self.height, self.baby):
            parts = [context.EvalMult(part, self._diagonals[start + step]) for step, part in enumerate(turned)]
            part = context.EvalAddMany(parts)
            result = part if result is None else context.EvalAdd(result, context.EvalRotate(part, start))
        result = context.Rescale(result)
        for step in self._sums():
            result = context.EvalAdd(result, context.EvalRotate(result, step))
        return context.EvalAdd(result, self._bias)


class OpenFHE(System):
    """Scores the plain model. A row is a ciphertext; of many rows, each feature is one."""

    packages = ("openfhe",)
    security = "128 bits"

    def __init__(self, task: str, work: Work) -> None:
        super().__init__(task, work)
        if task not in PARAMETERS:
            raise Unsupported("no trees, and CKKS can't compare numbers")
        depth, first, others = PARAMETERS[task]
        parameters = openfhe.CCParamsCKKSRNS()
        parameters.SetMultiplicativeDepth(depth)
        parameters.SetFirstModSize(first)
        parameters.SetScalingModSize(others)
        parameters.SetSecurityLevel(openfhe.SecurityLevel.HEStd_128_classic)
        # A digit for each prime: else the keys need a larger ring.
        parameters.SetNumLargeDigits(depth + 1)
        parameters.SetScalingTechnique(openfhe.ScalingTechnique.FIXEDMANUAL)
        self._context = context = openfhe.GenCryptoContext(parameters)
        for feature in (
            openfhe.PKESchemeFeature.PKE,
            openfhe.PKESchemeFeature.KEYSWITCH,
            openfhe.PKESchemeFeature.LEVELEDSHE,
            openfhe.PKESchemeFeature.ADVANCEDSHE,
        ):
            context.Enable(feature)
        ring = context.GetRingDimension()
        self._slots = self.batch_rows = ring // 2
        self.scheme = f"CKKS, N = {ring:,}, {first + depth * others} bits"
        self._products = [Product(*layer, self._slots, context, 2 * place) for place, layer in enumerate(work.layers)]
        started = time.perf_counter()
        self._pair = context.KeyGen()
        context.EvalRotateKeyGen(self._pair.secretKey, sorted(set().union(*(product.rotations() for product in self._products))))
        keys = [openfhe.SerializeEvalAutomorphismKeyString(openfhe.BINARY)]
        if depth > 1:
            context.EvalMultKeyGen(self._pair.secretKey)
            keys.append(openfhe.SerializeEvalMultKeyString(openfhe.BINARY))
        self.keys = Keys(time.perf_counter() - started, sum(map(len, keys)))

    def _encrypted(self, values: np.ndarray) -> bytes:
        plain = self._context.MakeCKKSPackedPlaintext(values.tolist())
        return openfhe.Serialize(self._context.Encrypt(self._pair.publicKey, plain), openfhe.BINARY)

    def _decrypted(self, blob: bytes, values: int) -> np.ndarray:
        ciphertext = openfhe.DeserializeCiphertextString(blob, openfhe.BINARY)
        plain = self._context.Decrypt(self._pair.secretKey, ciphertext)
        plain.SetLength(values)
        return np.array(plain.GetRealPackedValue())[:values]

    def _read(self, query: Blobs) -> list[openfhe.Ciphertext]:
        return [openfhe.DeserializeCiphertextString(blob, openfhe.BINARY) for blob in query]

    def encrypt(self, row: int) -> Blobs:
        width = self._products[0].width
        padded = np.zeros(width)
        padded[: self.work.test.shape[1]] = self.work.test[row]
        return [self._encrypted(np.tile(padded, self._slots // width))]

    def score(self, query: Blobs) -> Blobs:
        value = self._read(query)[0]
        for place, product in enumerate(self._products):
            if place:
                value = self._context.Rescale(self._context.EvalSquare(value))
            value = product(value)
        return [openfhe.Serialize(value, openfhe.BINARY)]

    def decrypt(self, response: Blobs) -> np.ndarray:
        outputs = len(self.work.layers[-1][1])
        return softmax(self._decrypted(response[0], outputs)[None])[0]

    def encrypt_batch(self, rows: np.ndarray) -> Blobs:
        return [self._encrypted(column) for column in rows.T]

    def score_batch(self, query: Blobs) -> Blobs:
        values = self._read(query)
        for place, (weights, biases) in enumerate(self.work.layers):
            if place:
                values = [self._context.Rescale(self._context.EvalSquare(value)) for value in values]
            sums = [self._context.EvalLinearWSum(values, column.tolist()) for column in weights.T]
            values = [self._context.EvalAdd(value, float(bias)) for value, bias in zip(sums, biases, strict=True)]
        return [openfhe.Serialize(value, openfhe.BINARY) for value in values]

    def decrypt_batch(self, response: Blobs) -> np.ndarray:
        return softmax(np.array([self._decrypted(blob, self.batch_rows) for blob in response]).T)
