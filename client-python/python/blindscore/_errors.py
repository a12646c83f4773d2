"""Exceptions of Blindscore. All are subclasses of :class:`BlindscoreError`."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import NamedTuple


class BlindscoreError(Exception):
    """Base of all exceptions of this package."""


class SettingError(BlindscoreError, ValueError):
    """An argument can't be used. Nothing was sent."""


class RowProblem(NamedTuple):
    """Why a row can't be scored.

    Attributes:
        row: Place of the row, from 0.
        column: Name of the column, or its number from 1; ``None`` if the problem is not in one
            column.
        problem: Description.
    """

    row: int
    column: str | None
    problem: str

    def __str__(self) -> str:
        where = f"row {self.row}" if self.column is None else f"row {self.row}, column {self.column!r}"
        return f"{where}: {self.problem}"


#: Number of problems in the message of a :class:`RowError`.
_SHOWN = 10


class RowError(BlindscoreError, ValueError):
    """Some rows can't be scored. Nothing was sent.

    Attributes:
        problems: The first problems, at most a hundred.
        rows: Places of all rows that can't be scored.
    """

    def __init__(self, problems: Sequence[tuple[int, str | None, str]], rows: Sequence[int] | None = None) -> None:
        self.problems: list[RowProblem] = [RowProblem(*problem) for problem in problems]
        self.rows: list[int] = list(rows) if rows is not None else sorted({problem.row for problem in self.problems})
        shown = "".join(f"\n  {problem}" for problem in self.problems[:_SHOWN])
        count = len(self.rows)
        more = f"\n  and more: {count} rows have problems in all" if len(self.problems) > _SHOWN else ""
        super().__init__(f"{count} row{'s' * (count != 1)} can't be scored, so nothing was sent:{shown}{more}")


class KeyFileError(BlindscoreError):
    """A file with a secret key can't be read, written or used."""


class KeyMismatchError(BlindscoreError, ValueError):
    """A key is for another parameter set than the model's."""


class ServerError(BlindscoreError):
    """The server refused a request, or its answer makes no sense."""


class AccessError(ServerError):
    """The server wants a token, or doesn't accept the one that was sent."""


class NoModelError(ServerError):
    """The server has no model of this name."""


class BusyError(ServerError):
    """The server was too busy for as long as the client waited."""


class ResponseError(ServerError):
    """A response can't be decrypted: it is damaged, or belongs to something else."""


class ModelChangedError(BlindscoreError):
    """The model is not the one that was agreed to. Nothing more was sent."""


class ConnectionError(BlindscoreError, builtins.ConnectionError):  # noqa: A001
    """The server doesn't answer, or its certificate isn't trusted."""


class ImportRefused(BlindscoreError, ValueError):
    """A fitted model can't be served, or would answer differently. Nothing was written."""


class RowsMaskedWarning(UserWarning):
    """Some rows can't be scored, and their answers are masked."""


class UnusedColumnsWarning(UserWarning):
    """Some columns of a table are not used by the model."""
