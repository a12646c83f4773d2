"""Scoring on a server that can't read the data."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from . import _tables
from ._blindscore import Connection, Model, SecretKey
from ._errors import ModelChangedError, RowError, RowProblem, RowsMaskedWarning, SettingError

#: Number of times that a call starts again because the model has changed.
_MOST_STARTS = 3
#: Largest number of requests at the same time: each has a thread, and servers have a queue.
_MOST_IN_FLIGHT = 64
#: Number of problems in a warning.
_SHOWN = 3

OnError = Literal["raise", "mask"]


def _setting(value: Any, variable: str) -> Any:
    """Returns an argument, or else the variable of the environment that the program ``blindscore``
    reads. One that is empty is not set.
    """
    return value if value is not None else os.environ.get(variable) or None


def _seconds(value: float | None, variable: str) -> float | None:
    """Returns a time limit like :func:`_setting`. In a variable it is a whole number of seconds, as
    the program ``blindscore`` reads it.
    """
    text = _setting(None, variable)
    if value is not None or text is None:
        return value
    if not re.fullmatch(r"\+?[0-9]+", text):
        raise SettingError(f"{variable}: {text!r} is not a whole number of seconds")
    return float(text)


class Client:
    """Scores rows with a model on a server, which sees neither the rows nor the answers.

    The first prediction makes a secret key, unless there is one, and uploads an evaluation key made
    from it: 20 kB for a linear model, 10 MB for a network, 12 MB for trees.

    Args:
        url: Address of the server; ``$BLINDSCORE_URL`` if not given.
        model: Name of the model on the server; ``$BLINDSCORE_MODEL`` if not given.
        token: Token to send; ``$BLINDSCORE_TOKEN`` if not given.
        model_id: Accept only the model with this id, which :attr:`model_id` shows;
            ``$BLINDSCORE_MODEL_ID`` if not given.
        key: Where the secret key is kept. ``None``: ``$BLINDSCORE_KEY``, or a file for each server
            and parameter set in the user's data directory, readable by its owner only, the same as
            the program ``blindscore`` uses. ``"memory"``: nowhere; it is gone with this object. A
            path: this file. A :class:`SecretKey`, or its bytes: this key, in memory.
        ca_cert: PEM file with certificates of authorities to trust in addition to the usual ones;
            ``$BLINDSCORE_CA_CERT`` if not given.
        timeout: Seconds for one try of a request, plus the time that its bytes take at 50 kB/s;
            ``$BLINDSCORE_TIMEOUT`` or 60 if not given.
        max_wait: Seconds for a request with all its retries; ``$BLINDSCORE_MAX_WAIT`` or 600.
        in_flight: Number of requests at the same time.
        verbose: Print the sizes of what is sent and received.

    Raises:
        SettingError: An argument can't be used.
        NoModelError: The server has no such model.
        ModelChangedError: The model is not the one with ``model_id``.
        ConnectionError: The server doesn't answer.

    A client may be used by several threads, and after a fork. It is not pickled: see
    :meth:`secret_key`.

    Example:
        >>> client = blindscore.Client("https://scores.example", model="churn")  # doctest: +SKIP
        >>> client.predict([{"age": 39, "job": "clerk"}])  # doctest: +SKIP
        array(['stays'], dtype='<U5')
    """

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        *,
        token: str | None = None,
        model_id: str | None = None,
        key: SecretKey | bytes | str | os.PathLike[str] | None = None,
        ca_cert: str | os.PathLike[str] | None = None,
        timeout: float | None = None,
        max_wait: float | None = None,
        in_flight: int = 4,
        verbose: bool = False,
    ) -> None:
        url, model = _setting(url, "BLINDSCORE_URL"), _setting(model, "BLINDSCORE_MODEL")
        if url is None:
            raise SettingError("url is missing: give the server's address, or set BLINDSCORE_URL")
        if model is None:
            raise SettingError("model is missing: give the model's name, or set BLINDSCORE_MODEL")
        if not isinstance(in_flight, int) or not 1 <= in_flight <= _MOST_IN_FLIGHT:
            raise SettingError(f"in_flight: {in_flight!r} is not a whole number between 1 and {_MOST_IN_FLIGHT}")
        if key is None:
            key = _setting(None, "BLINDSCORE_KEY")
        elif not isinstance(key, (SecretKey, bytes, str, os.PathLike)):
            raise SettingError(f"key: {type(key).__name__} is neither a SecretKey, bytes, a path nor 'memory'")
        ca_cert = _setting(ca_cert, "BLINDSCORE_CA_CERT")
        self.url: str = str(url)
        self.in_flight = in_flight
        self.verbose = verbose
        self._connection = Connection(
            self.url,
            str(model),
            token=_setting(token, "BLINDSCORE_TOKEN"),
            model_id=_setting(model_id, "BLINDSCORE_MODEL_ID"),
            key_file=Path(key) if isinstance(key, (str, os.PathLike)) and key != "memory" else None,
            key=key if isinstance(key, SecretKey) else None,
            key_bytes=key if isinstance(key, bytes) else None,
            in_memory=key == "memory",
            ca_cert=None if ca_cert is None else Path(ca_cert),
            timeout=_seconds(timeout, "BLINDSCORE_TIMEOUT"),
            max_wait=_seconds(max_wait, "BLINDSCORE_MAX_WAIT"),
        )
        self._name = str(model)

    def __repr__(self) -> str:
        return f"<blindscore.Client of {self._name!r} at {self.url}: {self.model.task}, {self.n_features_in_} columns>"

    def __reduce__(self) -> Any:
        raise TypeError(
            "a client is not pickled, because it holds a secret key; make one in each process, with key=client.secret_key().to_bytes() to share a key"
        )

    @property
    def model(self) -> Model:
        """The model, as the server describes it."""
        return self._connection.model

    @property
    def model_id(self) -> str:
        """Id of the model with a fingerprint of all that you agree to. Pass it as ``model_id`` to
        accept only this model.
        """
        return self.model.pin

    @property
    def key_id(self) -> str | None:
        """Id of the evaluation key on the server; ``None`` before its upload."""
        return self._connection.key_id

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """Classes in the order of :meth:`predict_proba`, as whole numbers if all of them are.

        Raises:
            AttributeError: The model doesn't decide between classes.
        """
        classes = self.model.classes
        if classes is None:
            raise AttributeError(f"a model for {self.model.task} has no classes")
        return _labels(classes)

    @property
    def outputs_(self) -> np.ndarray[Any, Any]:
        """Names of the scores: of classes, independent labels or targets."""
        return _labels(self.model.outputs)

    @property
    def n_features_in_(self) -> int:
        """Number of columns of a row."""
        return self.model.n_columns

    @property
    def feature_names_in_(self) -> np.ndarray[Any, Any]:
        """Names of the columns.

        Raises:
            AttributeError: The model's columns have no names.
        """
        names = self.model.column_names
        if names is None:
            raise AttributeError("the model's columns have no names")
        return np.array(names, dtype=object)

    def predict(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Predicts, as the original model's ``predict`` does.

        Args:
            X: Rows: a numpy array ``(rows, columns)``, a scipy sparse matrix, a pandas or polars
                frame, or a list of records. Columns with names are found by name.
            on_error: ``"raise"`` refuses the call if a row can't be scored, before anything is
                sent. ``"mask"`` scores the others, and returns masked or missing answers for these.
            progress: Show a bar of tqdm; by default for 1,000 rows or more where tqdm is installed.

        Returns:
            The classes ``(rows,)`` (``None`` where the server sends only the label and there is
            none: noise made three or more nearly equal classes win and lose in a circle, or the row
            is outside of a network's range), values ``(rows,)`` or
            ``(rows, outputs)``, or for independent labels ones and zeros ``(rows, outputs)``. An
            array, a masked array with
            ``on_error="mask"``, or a Series or frame with its index if ``X`` is a frame.

        Raises:
            RowError: Rows can't be scored; it names them.
            SettingError: ``X`` has other columns than the model.
            ModelChangedError: The model was replaced by one that is different for you.
            ServerError, ConnectionError: The server can't score.
        """
        answers = self._score(X, on_error, progress)
        model = self.model
        if model.task == "classification":
            classes = self.classes_
            return answers.shaped(answers.labels(classes), None)
        if model.task == "multilabel":
            return answers.shaped((answers.scores > 0).astype(np.int64), self.outputs_)
        return answers.shaped(answers.values[:, 0] if answers.values.shape[1] == 1 else answers.values, self.outputs_)

    def predict_proba(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Returns probabilities ``(rows, classes)``, or ``(rows, outputs)`` for independent labels.

        Arguments and exceptions are those of :meth:`predict`.

        Raises:
            AttributeError: The model gives no probabilities.
        """
        if self.model.n_probabilities == 0:
            raise AttributeError("the model gives no probabilities")
        answers = self._score(X, on_error, progress)
        names = self.outputs_ if self.model.task == "multilabel" else self.classes_
        return answers.shaped(answers.probabilities, names)

    def decision_function(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Returns the scores that the decision is made from: ``(rows,)`` for two classes that one
        score decides between, else ``(rows, classes)``.

        Arguments and exceptions are those of :meth:`predict`.

        Raises:
            AttributeError: The model is a regression, or decides by several models or pairs of
                classes (:meth:`scores` returns what it gives), or the server sends only the label.
        """
        if self.model.answer != "scores":
            raise AttributeError("the server sends only the label of this model, and no scores")
        if self.model.task == "regression" or not self.model.scores_decide:
            raise AttributeError("this kind of model has no decision function; scores() returns its scores")
        return self.scores(X, on_error=on_error, progress=progress)

    def scores(self, X: Any, *, on_error: OnError = "raise", progress: bool | None = None) -> Any:
        """Returns the scores in the model's own units, ``(rows,)`` or ``(rows, outputs)``.

        Arguments and exceptions are those of :meth:`predict`.

        Raises:
            AttributeError: The server sends only the label.
        """
        if self.model.answer != "scores":
            raise AttributeError("the server sends only the label of this model, and no scores")
        answers = self._score(X, on_error, progress)
        scores = answers.scores
        return answers.shaped(scores[:, 0] if scores.shape[1] == 1 else scores, self.outputs_)

    def ensure_key(self) -> None:
        """Makes the evaluation key and uploads it, unless the server has it. Predictions do so on
        their own.
        """
        self._connection.ensure_key()

    def secret_key(self) -> SecretKey:
        """Returns a copy of the secret key. Whoever has its bytes can read all that was encrypted
        with it.
        """
        return self._connection.secret_key()

    def forget(self) -> None:
        """Deletes the evaluation key on the server, and the file of the secret key."""
        self._connection.forget()

    def upload(self, key: SecretKey) -> str:
        """Makes an evaluation key from a secret key, uploads it, and returns its id."""
        blob, key_id = key.public_key()
        self._connection.upload(blob, key_id)
        if self.verbose:
            print(f"evaluation key {key_id} uploaded: {len(blob):,} bytes")
        return key_id

    def score(self, query: bytes) -> bytes:
        """Sends one query, which :meth:`SecretKey.encrypt` has made for a key that was uploaded.

        Returns:
            The encrypted response, for :meth:`SecretKey.decrypt`.
        """
        response = self._connection.send(query)
        if self.verbose:
            print(f"query sent: {len(query):,} bytes; response received: {len(response):,} bytes")
        return response

    def delete(self, key_id: str) -> bool:
        """Deletes an evaluation key on the server. Returns whether it was there."""
        return self._connection.delete(key_id)

    def _score(self, X: Any, on_error: OnError, progress: bool | None) -> _Answers:
        if on_error not in ("raise", "mask"):
            raise SettingError(f"on_error is {on_error!r}, neither 'raise' nor 'mask'")
        for _ in range(_MOST_STARTS):
            table = _tables.table(X, self.model)
            refused = self._check(table, on_error)
            answers = _Answers(table, self.model, refused, on_error)
            if self._fill(answers, table, refused, progress):
                return answers
        raise ModelChangedError(f"the model was replaced {_MOST_STARTS} times while the rows were scored")

    def _check(self, table: _tables.Table, on_error: OnError) -> list[int]:
        """Returns the rows that can't be scored, before anything is sent."""
        problems: list[RowProblem] = []
        refused: list[int] = []
        for piece in table.pieces():
            found, rows = self._connection.check(piece.matrix, piece.columns, piece.rows)
            problems.extend(RowProblem(row + piece.start, column, problem) for row, column, problem in found)
            refused.extend(row + piece.start for row in rows)
        if refused and on_error == "raise":
            raise RowError(problems[:100], refused)
        if refused:
            shown = "".join(f"\n  {problem}" for problem in problems[:_SHOWN])
            warnings.warn(f"{len(refused)} of {table.rows} rows can't be scored:{shown}", RowsMaskedWarning, stacklevel=4)
        return refused

    def _fill(self, answers: _Answers, table: _tables.Table, refused: list[int], progress: bool | None) -> bool:
        """Scores all rows; returns False if the model has changed half-way."""
        done, close = _bar(table.rows, progress)
        skipped = np.array(refused, dtype=np.int64)
        try:
            for piece in table.pieces():
                inside = skipped[(skipped >= piece.start) & (skipped < piece.start + piece.rows)] - piece.start
                scored = self._connection.score(
                    piece.matrix, piece.columns, piece.rows, refused=inside.tolist(), in_flight=self.in_flight, progress=done
                )
                if scored is None:
                    return False
                answers.put(piece, scored)
        finally:
            close()
        if self.verbose and table.rows > 0:
            _, query, response = self.model.sizes
            print(f"{table.rows} queries of {query:,} bytes sent, {table.rows} responses of {response:,} bytes received")
        return True


class _Answers:
    """Decrypted answers to the rows of a table."""

    def __init__(self, table: _tables.Table, model: Model, refused: list[int], on_error: OnError) -> None:
        rows = table.rows
        self._table = table
        self._masked = on_error == "mask"
        self._refused = refused
        self.scores = np.empty((rows, len(model.outputs)))
        self.probabilities = np.empty((rows, model.n_probabilities))
        self.values = np.empty((rows, len(model.outputs) if model.task == "regression" else 0))
        self.classes = np.empty(rows, dtype=np.int64)

    def put(self, piece: _tables.Piece, scored: dict[str, bytes]) -> None:
        stop = piece.start + piece.rows
        for name, bytes_ in scored.items():
            target = getattr(self, name)[piece.start : stop]
            target[...] = np.frombuffer(bytes_, dtype=target.dtype).reshape(target.shape)

    def labels(self, classes: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Returns the class of each row, or ``None`` where no class won."""
        labels = classes[np.maximum(self.classes, 0)]
        without = self.classes < 0
        without[self._refused] = False
        if without.any():
            labels = labels.astype(object)
            labels[without] = None
        return labels

    def shaped(self, array: np.ndarray[Any, Any], names: np.ndarray[Any, Any] | None) -> Any:
        """Returns answers in the form of the rows, with those of refused rows masked or missing."""
        if self._table.frame is None:
            if not self._masked:
                return array
            mask = np.zeros(array.shape, dtype=bool)
            mask[self._refused] = True
            return np.ma.masked_array(array, mask=mask)
        if self._refused:
            array = array.astype(object) if array.dtype.kind != "f" else array
            array[self._refused] = None if array.dtype == object else np.nan
        if self._table.frame == "pandas":
            import pandas as pd

            if array.ndim == 1:
                return pd.Series(array, index=self._table.index)
            return pd.DataFrame(array, index=self._table.index, columns=names)
        import polars as pl

        if array.ndim == 1:
            return pl.Series(array.tolist())
        return pl.DataFrame({str(name): array[:, place].tolist() for place, name in enumerate(names if names is not None else [])})


def _labels(names: list[str]) -> np.ndarray[Any, Any]:
    """Returns labels as whole numbers if all of them are written as such."""
    if names and all(name == "0" or name.lstrip("-")[:1] in set("123456789") and name.lstrip("-").isdecimal() for name in names):
        numbers = [int(name) for name in names]
        if all(str(number) == name and abs(number) < 1 << 63 for number, name in zip(numbers, names, strict=True)):
            return np.array(numbers, dtype=np.int64)
    return np.array(names)


def _bar(rows: int, wanted: bool | None) -> tuple[Callable[[int], Any] | None, Callable[[], None]]:
    """Returns what to call with the number of rows that are done, and at the end."""
    if wanted is False or (wanted is None and rows < 1000):
        return None, lambda: None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        if wanted:
            raise SettingError("progress=True needs the package tqdm") from None
        return None, lambda: None
    bar = tqdm(total=rows, unit="rows")
    return bar.update, bar.close
