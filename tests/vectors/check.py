"""Checks known-answer vectors, sharing no code with the program that writes them.

Usage: python check.py [FILE.json ...]

Without files, checks every .json file beside this program. Needs numpy. Generates the secret key,
the public key and the query from the seeds in a vector, and compares them byte for byte. Decrypts
the response and compares the scores exactly. A vector has these fields; seeds and ids are
hexadecimal, blobs base64:

    set         name of the parameter set
    secret_key  sampler_seed (32 bytes), blob
    public_key  mask_seed (16 bytes), sampler_seed, id (SHA-256 of the blob)
    query       mask_seed, sampler_seed, model (id), input_step, blob,
                levels (an integer for each feature), and for some sets fine: the features are
                sent a second time, with a step that many times finer
    response    blob, outputs (offset and half_range of each), scores, and for some sets fine: the
                scores are sent a second time, that many times finer
"""

import json
import struct
import sys
from base64 import b64decode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

# Wire format. Another version also changes mask_key, split_response and the sets.
FORMAT = 3
QUERY_ID_BYTES = 16
PUBLIC_KEY, QUERY, RESPONSE, SECRET_KEY = 1, 2, 3, 4


class Differs(Exception):
    """A difference between a vector and what was computed."""


def require(right, words):
    if not right:
        raise Differs(words)


def mask_key(kind, number, seed):
    """Returns the ChaCha20 key for a blob's masks."""
    return sha256(b"blindscore masks, ChaCha20, format 3" + struct.pack("<HI", kind, number) + seed).digest()


def split_response(payload):
    """Splits a response into the id of its query and the ciphertexts."""
    return payload[:QUERY_ID_BYTES], payload[QUERY_ID_BYTES:]


@dataclass(frozen=True)
class Ring:
    """Parameters of a GLWE ciphertext; the noise is TUniform(bound)."""

    k: int
    n: int
    bound: int


@dataclass(frozen=True)
class Set:
    """A parameter set.

    Sets for linear models have one secret; sets for networks have the features' and the scores'.
    """

    number: int
    features: Ring
    scores: Ring
    query_bits: int
    response_bits: int
    scores_in_one: int
    linear: bool = True
    # Bits of the encryptions of zero under the features' secret.
    zero_bits: int = 20
    # Levels and bits of a digit of the key-switching key, if there is one.
    key_switch: tuple[int, int] = (0, 0)

    @property
    def secret_bits(self):
        return self.scores.k * self.scores.n + (0 if self.linear else self.features.k * self.features.n)


LINEAR, INPUT, OUTPUT = Ring(1, 2048, 17), Ring(11, 64, 50), Ring(4, 512, 17)
SETS = {
    "linear-n2048-v3": Set(5, LINEAR, LINEAR, 48, 19, 2),
    "linear-n2048-fine-v3": Set(6, LINEAR, LINEAR, 48, 22, 2),
    "network-n704-k4-v3": Set(7, INPUT, OUTPUT, 18, 16, 16, linear=False),
    "network-n704-k2-v3": Set(8, INPUT, Ring(2, 1024, 17), 18, 16, 16, linear=False),
    "network-n704-k4-switch-v3": Set(10, INPUT, OUTPUT, 18, 16, 16, linear=False, key_switch=(13, 1)),
    "network-n832-k2-v3": Set(9, Ring(13, 64, 47), Ring(2, 1024, 17), 21, 16, 16, linear=False, zero_bits=23, key_switch=(8, 2)),
}


class Stream:
    """ChaCha20's key stream with a 64-bit counter and nonce zero, as 32-bit words.

    64-bit numbers take two words, the lower one first.
    """

    def __init__(self, key):
        self.key, self.counter, self.left = np.frombuffer(key, "<u4"), 0, np.empty(0, np.uint32)

    def words(self, count):
        blocks = -(-max(0, count - len(self.left)) // 16)
        words = np.concatenate([self.left, self.blocks(blocks)])
        self.left = words[count:]
        return words[:count]

    def blocks(self, count):
        start = np.zeros((16, count), np.uint32)
        start[:4] = np.frombuffer(b"expand 32-byte k", "<u4")[:, None]
        start[4:12] = self.key[:, None]
        counter = np.arange(self.counter, self.counter + count, dtype=np.uint64)
        start[12], start[13] = counter & np.uint64(2**32 - 1), counter >> np.uint64(32)
        self.counter += count
        x = start.copy()
        columns = [(i, 4 + i, 8 + i, 12 + i) for i in range(4)]
        diagonals = [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
        for a, b, c, d in 10 * (columns + diagonals):
            for to, add, mix, by in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]:
                x[to] += x[add]
                x[mix] ^= x[to]
                x[mix] = x[mix] << np.uint32(by) | x[mix] >> np.uint32(32 - by)
        return (x + start).T.ravel()

    def integers(self, count):
        return self.words(2 * count).view("<u8")

    def binary(self, count):
        return np.unpackbits(self.integers(-(-count // 64)).view(np.uint8), bitorder="little")[:count].astype(np.uint64)

    def noise(self, count, bound):
        """Returns samples of TUniform(bound).

        Each is a number of bound + 1 bits, plus one more random bit, minus 2^bound. It takes one
        word if that suffices.
        """
        drawn = self.words(count).astype(np.uint64) if bound + 2 <= 32 else self.integers(count)
        bits = drawn & np.uint64(2 ** (bound + 2) - 1)
        return (bits >> np.uint64(1)) + (bits & np.uint64(1)) - np.uint64(2**bound)


def times(polynomials, secret):
    """Returns products with a binary polynomial, modulo X^n + 1 and 2^64.

    Works on 16 bits at a time, so that sums of doubles are exact.
    """
    n = len(secret)
    place = np.arange(n)[None, :] - np.arange(n)[:, None]
    matrix = np.where(place < 0, -1.0, 1.0) * secret[place]
    product = np.zeros(polynomials.shape, np.uint64)
    for shift in map(np.uint64, (0, 16, 32, 48)):
        limb = (polynomials >> shift & np.uint64(0xFFFF)).astype(float)
        product += (limb @ matrix).astype(np.int64).astype(np.uint64) << shift
    return product


def masked(masks, secret, ring):
    """Returns sum_i a_i s_i for each ciphertext, whose masks are k polynomials each."""
    a = masks.reshape(-1, ring.k, ring.n)
    return sum(times(a[:, i], secret[i * ring.n : (i + 1) * ring.n]) for i in range(ring.k))


def encrypt(messages, secret, ring, masks, sampler):
    """Returns the bodies of encryptions of polynomials."""
    messages = messages.reshape(-1, ring.n)
    noise = sampler.noise(messages.size, ring.bound).reshape(messages.shape)
    a = masks.integers(messages.size * ring.k)
    return messages + noise + masked(a, secret, ring)


def image(polynomials, exponent):
    """Returns p(X^exponent) for each row p."""
    n = polynomials.shape[1]
    to = np.arange(n) * exponent % (2 * n)
    images = np.empty_like(polynomials)
    images[:, to % n] = np.where(to < n, polynomials, -polynomials)
    return images


def pack(values, bits):
    """Rounds to the upper bits, and packs them without gaps, least significant bit first."""
    values = values.ravel() + (np.uint64(1) << np.uint64(63 - bits)) >> np.uint64(64 - bits)
    parts = np.split(values, range(1 << 16, len(values), 1 << 16))
    single = [(part[:, None] >> np.arange(bits, dtype=np.uint64) & np.uint64(1)).astype(np.uint8) for part in parts]
    return b"".join(np.packbits(part, bitorder="little").tobytes() for part in single)


def unpack(data, count, bits):
    single = np.unpackbits(np.frombuffer(data, np.uint8), count=count * bits, bitorder="little").reshape(count, bits)
    return (single.astype(np.uint64) << np.arange(64 - bits, 64, dtype=np.uint64)).sum(1, dtype=np.uint64)


def seal(kind, number, payload, key=bytes(32), model=bytes(16)):
    head = struct.pack("<4sHHIQ32s16s", b"BLSC", FORMAT, kind, number, len(payload), key, model)
    return head + sha256(head + payload).digest()[:16] + payload


def unseal(blob, kind, number):
    """Checks a blob, and returns its key, model and payload."""
    payload, key, model = blob[84:], blob[20:52], blob[52:68]
    whole = seal(kind, number, payload, key, model) == blob
    require(whole, "a blob is damaged, or of another format, kind or set")
    return key, model, payload


def public_key(params, seed, secret, masks, sampler):
    """Returns the blob of a public key."""
    ring = params.scores
    of_scores = secret[-ring.k * ring.n :]
    s = of_scores.reshape(ring.k, ring.n)
    if params.linear:
        switched = image(s, ring.n + 1) * np.uint64(2 ** (64 - 21))
        zero, automorphism = encrypt(np.stack([0 * s[0], switched[0]]), of_scores, ring, masks, sampler)
        payload = pack(zero, 36) + pack(automorphism, 41)
    else:
        gadget, one = np.uint64(2 ** (64 - 23)), np.eye(1, ring.n, dtype=np.uint64)
        of_features = secret[: params.features.k * params.features.n]
        bootstrapping = of_features[:, None, None] * np.concatenate([-s, one]) * gadget
        packing = [image(s, exponent) * gadget for exponent in (3, 5, 9, 17)]
        messages = np.concatenate([bootstrapping.reshape(-1, ring.n), *packing, 0 * s])
        payload = pack(encrypt(messages, of_scores, ring, masks, sampler), 46)
        payload += pack(encrypt(0 * of_features, of_features, params.features, masks, sampler), params.zero_bits)
        levels, digit = params.key_switch
        if levels:
            gadgets = np.uint64(1) << np.uint64(64) - np.arange(1, levels + 1, dtype=np.uint64) * np.uint64(digit)
            messages = of_scores.reshape(-1, 1, params.features.n) * gadgets[:, None]
            payload += pack(encrypt(messages, of_features, params.features, masks, sampler), params.zero_bits)
    return seal(PUBLIC_KEY, params.number, seed + payload)


def phases(params, ciphertexts, outputs, secret):
    """Returns the phases of the scores, as signed integers."""
    ring, each = params.scores, params.scores_in_one
    count = -(-outputs // each) * ring.k * ring.n
    at = -(-count * params.response_bits // 8)
    masks, bodies = unpack(ciphertexts[:at], count, params.response_bits), unpack(ciphertexts[at:], outputs, params.response_bits)
    stride = 1 if params.linear else ring.n // each
    products = masked(masks, secret[-ring.k * ring.n :], ring)[:, : each * stride : stride]
    return (bodies - products.ravel()[:outputs]).astype(np.int64)


def refined(coarse, fine, factor):
    """Returns the part of the torus that a phase and a finer one stand for."""
    return (round(coarse * factor - fine) + fine) / factor


def check(vector):
    """Raises the first difference."""
    params = SETS[vector["set"]]
    secret_key, public, query, response = (vector[name] for name in ("secret_key", "public_key", "query", "response"))

    def sampler(part):
        return Stream(bytes.fromhex(part["sampler_seed"]))

    def masks(kind, seed):
        return Stream(mask_key(kind, params.number, seed))

    secret = sampler(secret_key).binary(params.secret_bits)
    seed = bytes.fromhex(public["mask_seed"])
    blob = public_key(params, seed, secret, masks(PUBLIC_KEY, seed), sampler(public))
    key = sha256(blob).digest()
    require(key.hex() == public["id"], "the public key differs")
    made = seal(SECRET_KEY, params.number, np.packbits(secret.astype(np.uint8), bitorder="little").tobytes(), key)
    require(made == b64decode(secret_key["blob"]), "the secret key differs")

    ring, levels = params.features, np.array(query["levels"], np.uint64)
    steps = [query["input_step"]] + ([query["input_step"] // query["fine"]] if "fine" in query else [])
    features = np.concatenate([levels * np.uint64(step) for step in steps])
    messages = np.zeros(-(-len(features) // ring.n) * ring.n, np.uint64)
    messages[: len(features)] = features
    seed, model = bytes.fromhex(query["mask_seed"]), bytes.fromhex(query["model"])
    of_features = secret[: ring.k * ring.n]
    bodies = encrypt(messages, of_features, ring, masks(QUERY, seed), sampler(query)).ravel()[: len(features)]
    made = seal(QUERY, params.number, seed + pack(bodies, params.query_bits), key, model)
    require(made == b64decode(query["blob"]), "the query differs")

    named, of, payload = unseal(b64decode(response["blob"]), RESPONSE, params.number)
    answered, ciphertexts = split_response(payload)
    require((named, of) == (key, model), "the response belongs to another key or model")
    require(answered == made[68:84], "the response answers another query")
    outputs, factor = response["outputs"], response.get("fine")
    sent = phases(params, ciphertexts, len(outputs) * (2 if factor else 1), secret)
    parts = [int(phase) / 2**64 for phase in sent]
    if factor:
        parts = [refined(*pair, factor) for pair in zip(parts[: len(outputs)], parts[len(outputs) :], strict=True)]
    scores = [o["offset"] + 2 * o["half_range"] * part for o, part in zip(outputs, parts, strict=True)]
    require(scores == response["scores"], f"the response gives {scores}, not {response['scores']}")


def main(paths):
    paths = [Path(path) for path in paths] or sorted(Path(__file__).parent.glob("*.json"))
    require(paths, "no vectors were found")
    for path in paths:
        check(json.loads(path.read_text(encoding="utf-8")))
        print(f"{path.name}: passed")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Differs as difference:
        sys.exit(f"known-answer vectors: {difference}")
