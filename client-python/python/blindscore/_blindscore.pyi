from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__version__: str

class Model:
    """A model, as its server describes it."""

    @staticmethod
    def from_json(json: str) -> Model: ...
    def to_json(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def pin(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def n_columns(self) -> int: ...
    @property
    def column_names(self) -> list[str] | None: ...
    @property
    def column_kinds(self) -> list[str]: ...
    @property
    def outputs(self) -> list[str]: ...
    @property
    def classes(self) -> list[str] | None: ...
    @property
    def answer(self) -> str: ...
    @property
    def n_probabilities(self) -> int: ...
    @property
    def scores_decide(self) -> bool: ...
    @property
    def sizes(self) -> tuple[int, int, int]: ...
    @property
    def score_error(self) -> float: ...
    @property
    def parameter_set(self) -> str: ...
    def find_columns(self, header: list[str]) -> list[int]: ...

class SecretKey:
    """Secret key of a user, for a model.

    Whoever has its bytes can read all that was encrypted with it. Its memory is wiped when it is no
    longer used. It is not pickled.
    """

    @staticmethod
    def generate(model: Model) -> SecretKey:
        """Generates a key for a model, from the operating system's randomness."""

    @staticmethod
    def from_bytes(blob: bytes, model: Model) -> SecretKey:
        """Reads an exported key."""

    def to_bytes(self) -> bytes:
        """Exports the key, some hundred bytes."""

    def public_key(self) -> tuple[bytes, str]:
        """Makes a new evaluation key, which the server needs to score: its bytes and its id.

        Queries that are encrypted from now on are for this one.
        """

    @property
    def key_id(self) -> str | None:
        """Id of the last evaluation key made from this key."""

    @property
    def parameter_set(self) -> str:
        """Name of the parameter set."""

    def encrypt(self, row: Sequence[Any] | Mapping[str, Any]) -> bytes:
        """Encrypts a row: a sequence with a value for each column, or a record with their names.

        Raises:
            RowError: The row can't be scored.
        """

    def decrypt(self, response: bytes, *, query: bytes | None = None) -> Answer:
        """Decrypts the response to a query that this object has encrypted.

        With ``query``, it must be the response to that one, which another copy of the key may have
        encrypted.

        Raises:
            ResponseError: The response is damaged, or answers another query.
        """

class Answer:
    """Decrypted response.

    Attributes:
        scores: Scores in the model's own units, one for each output.
        probabilities: Probabilities; empty if the model gives none.
        values: Values of a regression, one for each target; else empty.
        label: Name of the class, if the model decides between classes.
        index: Place of the class.
    """

    @property
    def scores(self) -> list[float]: ...
    @property
    def probabilities(self) -> list[float]: ...
    @property
    def values(self) -> list[float]: ...
    @property
    def label(self) -> str | None: ...
    @property
    def index(self) -> int | None: ...

class Connection:
    def __init__(
        self,
        url: str,
        model: str,
        *,
        token: str | None,
        model_id: str | None,
        key_file: Path | None,
        key: SecretKey | None,
        key_bytes: bytes | None,
        in_memory: bool,
        ca_cert: Path | None,
        timeout: float | None,
        max_wait: float | None,
    ) -> None: ...
    @property
    def model(self) -> Model: ...
    @property
    def timeout(self) -> float: ...
    @property
    def max_wait(self) -> float: ...
    @property
    def key_id(self) -> str | None: ...
    def secret_key(self) -> SecretKey: ...
    def ensure_key(self) -> None: ...
    def forget(self) -> str | None: ...
    def check(self, matrix: bytes | None, columns: list[bytes | list[Any]], rows: int) -> tuple[list[tuple[int, str | None, str]], list[int]]: ...
    def score(
        self,
        matrix: bytes | None,
        columns: list[bytes | list[Any]],
        rows: int,
        *,
        refused: list[int],
        in_flight: int,
        progress: Callable[[int], Any] | None,
    ) -> dict[str, bytes] | None: ...
    def send(self, query: bytes) -> bytes: ...
    def upload(self, public_key: bytes, key_id: str) -> None: ...
    def delete(self, key_id: str) -> bool: ...

def import_model(
    file: Path,
    name: str,
    models_dir: Path,
    *,
    title: str | None,
    calibrate: Path | None,
    expect: Path | None,
    has_header: bool,
    labels: list[str] | None,
    task: str | None,
    ranges: tuple[float, float] | None,
    max_error: float | None,
    check_rows: int | None,
    structure: str | None,
    grid: str | None,
    max_seconds: float | None,
    answer: str,
) -> tuple[Path, list[str], str]: ...
