"""The systems that are compared: each in a module that only its own process imports."""

from __future__ import annotations

import dataclasses
import importlib
import time
from typing import Any, ClassVar

import numpy as np

from ..tasks import Work

#: Modules of the systems by the names that ``--peers`` takes, in the order of the table.
SYSTEMS = {"blindscore": "Blindscore", "concrete": "Concrete", "tenseal": "TenSEAL", "openfhe": "OpenFHE"}

#: What travels in one direction: the blobs as they are serialized.
Blobs = list[bytes]


class Unsupported(Exception):
    """The system can't do the task. The message says why, for the table."""


@dataclasses.dataclass
class Keys:
    """What making the keys took.

    Attributes:
        seconds: Time to make the secret key and all that the server needs.
        size: Bytes that the server needs, serialized.
    """

    seconds: float
    size: int


class System:
    """A system that is ready to score a task: client and server.

    A row is scored from the bytes of the query to those of the response, with the keys loaded.
    """

    #: Packages whose versions the record states.
    packages: ClassVar[tuple[str, ...]] = ()
    #: Security that the system claims for these parameters.
    security: str
    #: Scheme and parameters, in a few words.
    scheme: str
    keys: Keys
    #: Rows that are scored at once where a client has many; 0 if each row is scored on its own.
    batch_rows: int = 0

    def __init__(self, task: str, work: Work) -> None:
        self.task, self.work = task, work

    def encrypt(self, row: int) -> Blobs | None:
        """Returns the query of a row; ``None`` if the client refuses the row."""
        raise NotImplementedError

    def score(self, query: Blobs) -> Blobs:
        """Returns the response to a query: the server's work."""
        raise NotImplementedError

    def decrypt(self, response: Blobs) -> np.ndarray:
        """Returns the probabilities ``(classes,)``."""
        raise NotImplementedError

    def encrypt_batch(self, rows: np.ndarray) -> Blobs:
        """Returns the query of ``batch_rows`` rows."""
        raise NotImplementedError

    def score_batch(self, query: Blobs) -> Blobs:
        """Returns the response to such a query: the server's work."""
        raise NotImplementedError

    def decrypt_batch(self, response: Blobs) -> np.ndarray:
        """Returns the probabilities ``(batch_rows, classes)``."""
        raise NotImplementedError

    def simulate(self) -> np.ndarray:
        """Returns the probabilities of all rows as they would be decrypted, for systems without
        batches.
        """
        raise NotImplementedError

    def processor(self) -> float:
        """Returns the seconds of processor time used so far by all threads of client and server."""
        return time.process_time()

    def close(self) -> None:
        """Ends what was started."""


def start(name: str, task: str, work: Work) -> System:
    """Makes a system ready for a task."""
    module = importlib.import_module(f".{name}", __name__)
    system: Any = getattr(module, SYSTEMS[name])
    return system(task, work)
