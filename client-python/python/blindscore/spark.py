"""Tables larger than a machine: scoring in Spark, Dask and Ray.

>>> from blindscore.spark import predict_udf  # doctest: +SKIP
>>> udf = predict_udf("https://scores.example", "churn", token=token)  # doctest: +SKIP

Spark, where ``df`` is a DataFrame with the model's columns, and maybe others:

>>> scored = df.mapInPandas(udf, udf.schema(df))  # doctest: +SKIP

Dask:

>>> scored = ddf.map_partitions(udf, meta=udf.meta(ddf))  # doctest: +SKIP

Ray:

>>> scored = dataset.map_batches(udf, batch_format="pandas")  # doctest: +SKIP
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from . import _tables
from ._blindscore import Model, SecretKey
from ._client import Client, _Answers, _setting
from ._errors import ModelChangedError, RowProblem, SettingError

__all__ = ["PredictUdf", "predict_udf"]

Output = Literal["prediction", "probabilities", "scores"]

#: Number of clients that a process keeps.
_MOST_CLIENTS = 8
#: Number of problems that one check reports at most.
_MOST_PROBLEMS = 100
#: Number of times that rows are scored again because the model has changed.
_MOST_STARTS = 3
#: Types of Spark's columns that hold neither numbers nor texts, by their beginning, and what to do.
_REFUSED = {
    "decimal": "cast it to double",
    "date": "make a number of it, as the model was fitted",
    "timestamp": "make a number of it, as the model was fitted",
    "interval": "make a number of it, as the model was fitted",
    "array": "give each of its values a column",
    "map": "give each of its values a column",
    "struct": "give each of its fields a column",
    "binary": "decode it to text",
}


class _Settings(NamedTuple):
    """What makes a client in a worker."""

    url: str
    model: str
    model_id: str
    token: str | None
    key: bytes
    ca_cert: str | None
    timeout: float
    max_wait: float
    in_flight: int

    def __repr__(self) -> str:
        return f"<settings for {self.model!r} at {self.url}>"


class _Added(NamedTuple):
    """A column of answers."""

    name: str
    #: Type of pandas, which has missing values.
    kind: Literal["Int64", "Float64", "string"]


#: Clients of this process. Frames come one after the other, and connecting for each would be slow.
_clients: dict[_Settings, Client] = {}
_connecting = threading.Lock()


def _client(settings: _Settings) -> Client:
    with _connecting:
        client = _clients.pop(settings, None)
        if client is None:
            client = Client(
                settings.url,
                settings.model,
                model_id=settings.model_id,
                token=settings.token,
                key=settings.key,
                ca_cert=settings.ca_cert,
                timeout=settings.timeout,
                max_wait=settings.max_wait,
                in_flight=settings.in_flight,
            )
        # The dict is in the order of use.
        _clients[settings] = client
        for oldest in list(_clients)[:-_MOST_CLIENTS]:
            del _clients[oldest]
        return client


def predict_udf(
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
    columns: Sequence[str] | None = None,
    keep: Sequence[str] | None = None,
    output: Output | Sequence[Output] = "prediction",
) -> PredictUdf:
    """Returns a function that scores frames of pandas on the workers of Spark, Dask or Ray.

    It runs on the driver, connects, and uploads the evaluation key. Workers get the secret key with
    the function and keep it in memory. It is not in a broadcast variable, because PySpark writes
    those to disk. Whoever reads what the cluster sends between its machines gets the key; the rows
    are there in the clear, too. Each process of a worker makes one client for all its frames, and
    all use the driver's evaluation key. They accept only the model that the driver has seen: if it
    is replaced by one that differs, the job fails with :class:`blindscore.ModelChangedError`.

    Workers need this package, too. A server that has too much to do says so (429, 503), and the
    clients wait as it asks, up to ``max_wait``. The number of requests at a time is at most the
    number of tasks times ``in_flight``.

    Args:
        url: Address of the server, as the workers reach it; ``$BLINDSCORE_URL`` here, on the
            driver.
        model: Name of the model; ``$BLINDSCORE_MODEL``.
        token: Token to send; ``$BLINDSCORE_TOKEN``. Workers get it as they get the key.
        model_id: Accept only the model with this id.
        key: Where the driver keeps the secret key, as for :class:`blindscore.Client`.
        ca_cert: PEM file with authorities to trust in addition, at the same path on all machines.
        timeout: Seconds for one try of a request; ``$BLINDSCORE_TIMEOUT`` or 60 if not given.
        max_wait: Seconds for a request with all its retries; ``$BLINDSCORE_MAX_WAIT`` or 600.
        in_flight: Number of requests of one task at the same time.
        columns: Columns of the frames that the model takes, in its order. ``None``: those with the
            model's names, or if its columns have no names, all.
        keep: Columns of the frames that the result has, too, before the answers. ``None``: all.
        output: One or more of ``"prediction"``, ``"probabilities"`` and ``"scores"``.

    Returns:
        A function; :class:`PredictUdf` says what it takes and returns.

    Raises:
        SettingError: An argument can't be used.
        NoModelError, ConnectionError, ServerError: As for :class:`blindscore.Client`.
    """
    outputs = (output,) if isinstance(output, str) else tuple(output)
    known = ("prediction", "probabilities", "scores")
    for place, name in enumerate(outputs):
        if name not in known or name in outputs[:place]:
            raise SettingError(f"output: {name!r} is not one of {', '.join(map(repr, known))}, each once at most")
    if isinstance(columns, str) or isinstance(keep, str):
        raise SettingError("columns and keep are lists of names, not a name")
    token, ca_cert = _setting(token, "BLINDSCORE_TOKEN"), _setting(ca_cert, "BLINDSCORE_CA_CERT")
    client = Client(
        url,
        model,
        token=token,
        model_id=model_id,
        key=key,
        ca_cert=ca_cert,
        timeout=timeout,
        max_wait=max_wait,
        in_flight=in_flight,
    )
    description = client.model
    if columns is not None and len(columns) != description.n_columns:
        raise SettingError(f"columns: {len(columns)} names are given, the model takes {description.n_columns} columns")
    added = _added(client, outputs)
    # Once, for all workers.
    client.ensure_key()
    settings = _Settings(
        url=client.url,
        model=str(_setting(model, "BLINDSCORE_MODEL")),
        model_id=client.model_id,
        token=token,
        key=client.secret_key().to_bytes(),
        ca_cert=None if ca_cert is None else os.fspath(ca_cert),
        # The driver's environment counts, not that of a worker.
        timeout=client._connection.timeout,
        max_wait=client._connection.max_wait,
        in_flight=in_flight,
    )
    return PredictUdf(settings, description, outputs, added, columns, keep)


def _added(client: Client, outputs: Sequence[Output]) -> list[_Added]:
    """Returns the columns of answers."""
    model = client.model
    names = [str(name) for name in client.outputs_]
    added: list[_Added] = []
    for output in outputs:
        if output == "scores":
            if model.answer != "scores":
                raise SettingError("output: the server sends only the label of this model, and no scores")
            added += [_Added(f"score_{name}", "Float64") for name in names]
        elif output == "probabilities":
            if model.n_probabilities == 0:
                raise SettingError("output: the model gives no probabilities")
            shares = names if model.task == "multilabel" else [str(label) for label in client.classes_]
            added += [_Added(f"proba_{name}", "Float64") for name in shares]
        elif model.task == "classification":
            added.append(_Added("prediction", "Int64" if client.classes_.dtype.kind == "i" else "string"))
        elif model.task == "multilabel":
            added += [_Added(f"predicted_{name}", "Int64") for name in names]
        elif len(names) == 1:
            added.append(_Added("prediction", "Float64"))
        else:
            added += [_Added(f"predicted_{name}", "Float64") for name in names]
    return [*added, _Added("error", "string")]


class PredictUdf:
    """A function that scores frames of pandas, made by :func:`predict_udf`.

    It takes a frame and returns one, as Dask and Ray ask, or takes an iterator of frames and
    returns an iterator of as many, as Spark's ``mapInPandas`` asks. A result has the rows of its
    frame in their order, with the same index, and these columns:

    - those of the frame: all, or those that ``keep`` names;
    - ``prediction``: the class (``Int64`` or ``string``) or the value (``Float64``). For several
      targets or labels at once instead ``predicted_NAME`` of each: ``Float64``, or 0 or 1;
    - ``proba_CLASS`` with ``output="probabilities"``, ``Float64``;
    - ``score_NAME`` with ``output="scores"``, ``Float64``;
    - ``error``: missing, or why the row can't be scored; its answers are missing then.

    A row that can't be scored, because a value is missing or out of range, doesn't stop a job. A
    blank row is sent in its place, so that the server learns nothing from the gap. Other failures
    raise the exceptions of :meth:`blindscore.Client.predict`.

    Pickles, which is how it gets to workers, contain the secret key and the token. Its display
    doesn't.
    """

    def __init__(
        self,
        settings: _Settings,
        model: Model,
        outputs: Sequence[Output],
        added: list[_Added],
        columns: Sequence[str] | None,
        keep: Sequence[str] | None,
    ) -> None:
        self._settings = settings
        self._model: Model | None = model
        self._outputs = tuple(outputs)
        self._added = added
        self._columns = None if columns is None else list(columns)
        self._keep = None if keep is None else list(keep)
        # Spark shows it in plans.
        self.__name__ = "blindscore_predict"

    def __getstate__(self) -> dict[str, Any]:
        # A vocabulary can be large, and Spark writes large functions to disk, with the key in them.
        # Workers fetch the description themselves.
        return {**vars(self), "_model": None}

    def _description(self) -> Model:
        return _client(self._settings).model if self._model is None else self._model

    def __repr__(self) -> str:
        return f"<blindscore.spark.PredictUdf with {self._settings.model!r} at {self._settings.url}: {', '.join(name for name, _ in self._added)}>"

    @overload
    def __call__(self, frames: Iterator[Any]) -> Iterator[Any]: ...

    @overload
    def __call__(self, frames: Any) -> Any: ...

    def __call__(self, frames: Any) -> Any:
        """Scores a frame of pandas, or each of an iterator."""
        return self._scored(frames) if hasattr(frames, "columns") else self._each(frames)

    def _each(self, frames: Iterable[Any]) -> Iterator[Any]:
        for frame in frames:
            yield self._scored(frame)

    def schema(self, table: Any) -> Any:
        """Returns the ``StructType`` of the results, for ``mapInPandas``.

        Args:
            table: The Spark DataFrame to score, or its ``StructType``.

        Raises:
            SettingError: The model can't score this table: columns are missing, or of a type that
                holds neither numbers nor texts, or have names that the answers have.
        """
        from pyspark.sql import types

        fields = {field.name: field for field in getattr(table, "schema", table).fields}
        names = [field.name for field in getattr(table, "schema", table).fields]
        for place in self._places(names):
            kind = fields[names[place]].dataType.simpleString()
            for start, advice in _REFUSED.items():
                if kind.startswith(start):
                    raise SettingError(f"column {names[place]!r} is of type {kind}, neither a number nor text: {advice}")
        made = {"Int64": types.LongType(), "Float64": types.DoubleType(), "string": types.StringType()}
        answers = [types.StructField(name, made[kind], True) for name, kind in self._added]
        return types.StructType([fields[name] for name in self._kept(names)] + answers)

    def meta(self, table: Any) -> Any:
        """Returns an empty frame with the columns of the results, for ``map_partitions``.

        Args:
            table: The Dask DataFrame to score, or a frame of pandas with its columns.

        Raises:
            SettingError: As for :meth:`schema`.
        """
        return self._scored(getattr(table, "_meta", table).iloc[:0])

    def _places(self, names: list[str]) -> list[int]:
        """Returns the places of the model's columns in a table."""
        model = self._description()
        if self._columns is not None:
            missing = [name for name in self._columns if names.count(name) != 1]
            if missing:
                there = "twice or more" if missing[0] in names else "not there"
                raise SettingError(f"columns: {missing[0]!r} is {there} in the table")
            return [names.index(name) for name in self._columns]
        if model.column_names is None:
            if len(names) != model.n_columns:
                raise SettingError(
                    f"the table has {len(names)} columns, and the model takes {model.n_columns} without names: name those that it takes with columns"
                )
            return list(range(len(names)))
        try:
            return model.find_columns(names)
        except ValueError as error:
            raise SettingError(str(error)) from None

    def _kept(self, names: list[str]) -> list[str]:
        """Returns the names of the table's columns that the result has."""
        kept = names if self._keep is None else self._keep
        for name in kept:
            if names.count(name) != 1:
                raise SettingError(f"the table has {'several columns' if name in names else 'no column'} {name!r}")
        for name, _ in self._added:
            if name in kept:
                raise SettingError(f"the table has a column {name!r}, and so do the answers: rename it, or leave it out of keep")
        return kept

    def _scored(self, frame: Any) -> Any:
        """Returns a frame with the answers to a frame's rows."""
        import pandas as pd

        names = [str(name) for name in frame.columns]
        result = frame.iloc[:, [names.index(name) for name in self._kept(names)]].copy()
        places = self._places(names)
        features = frame.iloc[:, places]
        # They are in the model's order now, whatever they are called.
        features.columns = self._description().column_names or range(features.shape[1])
        if len(frame) > 0:
            client = _client(self._settings)
            answers, errors = _score(client, features, [names[place] for place in places])
            columns = self._columns_of(client, answers)
        else:
            errors, columns = [], [[] for _ in self._added[:-1]]
        refused = np.array([error is not None for error in errors], dtype=bool)
        for (name, kind), column in zip(self._added, [*columns, errors], strict=True):
            values = pd.array(column, dtype=kind)
            if column is not errors:
                values[refused] = pd.NA
            result[name] = pd.Series(values, index=result.index)
        return result

    def _columns_of(self, client: Client, answers: _Answers) -> list[Any]:
        """Returns the answers column by column, without the column of errors."""
        columns: list[Any] = []
        for output in self._outputs:
            if output == "scores":
                columns += list(answers.scores.T)
            elif output == "probabilities":
                columns += list(answers.probabilities.T)
            elif client.model.task == "classification":
                columns.append(answers.labels(client.classes_))
            elif client.model.task == "multilabel":
                columns += list((answers.scores > 0).astype(np.int64).T)
            else:
                columns += list(answers.values.T)
        return columns


def _score(client: Client, features: Any, names: list[str]) -> tuple[_Answers, list[str | None]]:
    """Scores a frame's rows, whose columns the user calls ``names``. Returns the answers, and for
    each row why it can't be scored.
    """
    for _ in range(_MOST_STARTS):
        table = _tables.table(features, client.model)
        errors: list[str | None] = [None] * table.rows
        for piece in table.pieces():
            found, rows = client._connection.check(piece.matrix, piece.columns, piece.rows)
            for row in rows:
                if len(found) >= _MOST_PROBLEMS:
                    # There are more than were reported.
                    one = table.piece(piece.start + row, piece.start + row + 1)
                    problems, _ = client._connection.check(one.matrix, one.columns, one.rows)
                else:
                    problems = [problem for problem in found if problem[0] == row]
                errors[piece.start + row] = "; ".join(_text(RowProblem(*problem), client.model, names) for problem in problems)
        refused = [row for row, error in enumerate(errors) if error is not None]
        answers = _Answers(table, client.model, refused, "mask")
        if client._fill(answers, table, refused, False):
            return answers, errors
    raise ModelChangedError(f"the model was replaced {_MOST_STARTS} times while the rows were scored")


def _text(problem: RowProblem, model: Model, names: list[str]) -> str:
    if problem.column is None:
        return problem.problem
    # A model whose columns have no names counts them from 1.
    column = problem.column if model.column_names is not None else names[int(problem.column) - 1]
    return f"column {column!r}: {problem.problem}"
