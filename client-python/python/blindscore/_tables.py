"""Rows of numbers, categories and texts from arrays, frames and lists of records.

The binding takes a matrix of floats, or for each column either floats or a list of objects. This
module finds the columns and prepares such pieces, a few thousand rows at a time, so that memory
stays flat whatever the size of the table.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._blindscore import Model
from ._errors import SettingError, UnusedColumnsWarning

#: Number of values that are prepared at a time.
_PIECE = 1 << 20
#: Largest magnitude of a whole number that a float holds exactly, as are all smaller ones.
_EXACT = 1 << 53
#: Number of names in a message.
_SHOWN = 10

_ACCEPTED = "a two-dimensional numpy array, a scipy sparse matrix, a pandas or polars DataFrame, or a list of records (dicts), one for each row"


class Piece(NamedTuple):
    """Some rows, as the binding takes them."""

    start: int
    rows: int
    matrix: bytes | None
    columns: list[bytes | list[Any]]


class Table:
    """Rows for a model.

    Attributes:
        rows: Number of rows.
        frame: ``"pandas"`` or ``"polars"`` if the rows come from such a frame, else ``None``.
        index: Index of a pandas frame.
    """

    def __init__(self, rows: int, width: int) -> None:
        self.rows = rows
        self.frame: str | None = None
        self.index: Any = None
        self._step = max(1, _PIECE // max(1, width))

    def piece(self, start: int, stop: int) -> Piece:
        raise NotImplementedError

    def pieces(self) -> Iterator[Piece]:
        """Returns the rows in pieces; a table without rows has none."""
        for start in range(0, self.rows, self._step):
            yield self.piece(start, min(self.rows, start + self._step))


class _Matrix(Table):
    def __init__(self, array: Any) -> None:
        super().__init__(array.shape[0], array.shape[1])
        self._array = array

    def piece(self, start: int, stop: int) -> Piece:
        part = self._array[start:stop]
        if hasattr(part, "toarray"):
            part = part.toarray()
        floats = np.ascontiguousarray(part, dtype=np.float64)
        return Piece(start, stop - start, floats.tobytes(), [])


class _Columns(Table):
    def __init__(self, columns: Sequence[Any], rows: int) -> None:
        super().__init__(rows, len(columns))
        self._columns = columns

    def piece(self, start: int, stop: int) -> Piece:
        columns: list[bytes | list[Any]] = []
        for column in self._columns:
            part = column[start:stop]
            if isinstance(part, np.ndarray) and part.dtype == np.float64:
                columns.append(part.tobytes())
            else:
                columns.append(list(part))
        return Piece(start, stop - start, None, columns)


def table(X: Any, model: Model) -> Table:
    """Reads rows in any of the accepted forms.

    Raises:
        SettingError: The form isn't accepted, or the columns are not the model's.
    """
    # First of all: one of scipy's formats is a dict, too.
    if hasattr(X, "tocsr") and hasattr(X, "toarray"):
        return _sparse(X.tocsr(), model)
    if isinstance(X, Mapping):
        raise SettingError("a single record must stand in a list: predict([record])")
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return _pandas(X, model)
    if hasattr(X, "get_column") and hasattr(X, "columns"):
        return _polars(X, model)
    if hasattr(X, "to_frame"):
        if model.n_columns == 1:
            return _single(X)
        raise SettingError(f"a Series is one column, the model takes {model.n_columns}; {_ACCEPTED} is expected")
    if isinstance(X, (str, bytes)):
        raise SettingError(f"rows are expected, not a text: {_ACCEPTED}")
    if isinstance(X, (list, tuple)):
        return _list(X, model)
    if isinstance(X, np.ma.MaskedArray):
        return _array(_unmasked(X), model)
    if hasattr(X, "__array__"):
        return _array(np.asarray(X), model)
    raise SettingError(f"{type(X).__name__} can't be read as rows; {_ACCEPTED} is expected")


def _single(series: Any) -> Table:
    """Reads a Series as the only column of a model, whose name doesn't matter."""
    if hasattr(series, "iloc"):
        result = _Columns([_series(series, str(series.name))], len(series))
        result.frame, result.index = "pandas", series.index
    else:
        result = _Columns([_polars_series(series)], len(series))
        result.frame = "polars"
    return result


def _check_width(found: int, model: Model) -> None:
    if found != model.n_columns:
        named = (
            ""
            if model.column_names is None
            else f"; a frame or records may have others, too: columns are found by name ({_listed(model.column_names)})"
        )
        raise SettingError(f"the rows have {found} columns, the model takes {model.n_columns}{named}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:_SHOWN])) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


def _array(array: np.ndarray[Any, Any], model: Model) -> Table:
    texts = len(model.column_kinds) == 1 and array.dtype.kind in "OUST"
    if array.ndim == 1 and texts:
        # Vectorizers of text take a list of texts.
        array = array.reshape(-1, 1)
    if array.ndim != 2:
        hint = "; for a single row write X.reshape(1, -1)" if array.ndim == 1 else ""
        raise SettingError(f"rows are a table of two dimensions, and this array has {array.ndim}{hint}")
    _check_width(array.shape[1], model)
    kind = array.dtype.kind
    if kind in "fb" or (kind in "iu" and _is_exact(array)):
        return _Matrix(array)
    if kind in "iuOUT":
        objects = array.astype(object)
        return _Columns([objects[:, place] for place in range(objects.shape[1])], len(objects))
    raise SettingError(f"an array of {array.dtype} holds neither numbers nor texts")


def _sparse(matrix: Any, model: Any) -> Table:
    if len(matrix.shape) != 2:
        raise SettingError(f"rows are a table of two dimensions, and this sparse array has {len(matrix.shape)}")
    _check_width(matrix.shape[1], model)
    if matrix.dtype.kind not in "fbiu":
        raise SettingError(f"a sparse matrix of {matrix.dtype} holds no numbers that the model takes")
    if matrix.dtype.kind in "iu" and not _is_exact(matrix.data):
        raise SettingError("the sparse matrix holds whole numbers beyond 2**53, which a float can't hold exactly")
    return _Matrix(matrix)


def _unmasked(array: Any) -> np.ndarray[Any, Any]:
    """Returns a masked array with missing values where it is masked."""
    mask = np.ma.getmaskarray(array)
    if array.dtype.kind == "f":
        return np.where(mask, np.nan, array.data)
    objects = np.array(array.data, dtype=object)
    objects[mask] = None
    return objects


def _is_exact(array: np.ndarray[Any, Any]) -> bool:
    if array.dtype.itemsize < 8 or array.size == 0:
        return True
    return int(array.max()) <= _EXACT and int(array.min()) >= -_EXACT


def _list(rows: Sequence[Any], model: Model) -> Table:
    if not rows:
        return _Columns([[] for _ in range(model.n_columns)], 0)
    if isinstance(rows[0], Mapping):
        return _records(rows, model)
    if all(isinstance(row, str) for row in rows):
        return _array(np.array(rows, dtype=object), model)
    if all(hasattr(row, "__len__") and not isinstance(row, (str, bytes, Mapping)) for row in rows):
        rows = [_unmasked(row) if isinstance(row, np.ma.MaskedArray) else row for row in rows]
        for place, row in enumerate(rows):
            if len(row) != model.n_columns:
                raise SettingError(f"row {place} has {len(row)} values, the model takes {model.n_columns}")
        return _Columns([[row[column] for row in rows] for column in range(model.n_columns)], len(rows))
    other = next((place for place, row in enumerate(rows) if type(row) is not type(rows[0])), None)
    if other is not None:
        raise SettingError(f"row 0 is a {type(rows[0]).__name__} and row {other} a {type(rows[other]).__name__}; rows must all be of one kind")
    raise SettingError(f"a list of {type(rows[0]).__name__} can't be read as rows; {_ACCEPTED} is expected")


def _records(rows: Sequence[Mapping[str, Any]], model: Model) -> Table:
    if model.column_names is None:
        raise SettingError("the model's columns have no names: give lists of numbers instead of records")
    first = [str(name) for name in rows[0]]
    keys = list(rows[0])
    places = _find(first, model)
    wanted = [keys[place] for place in places]
    known = set(keys)
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise SettingError(f"row {place} is a {type(row).__name__}, and row 0 is a record")
        for key in wanted:
            if key not in row:
                raise SettingError(f"row {place} has no {key!r}; write None for a missing value")
        if len(row) > len(known) or not known.issuperset(row):
            other = next(key for key in row if key not in known)
            raise SettingError(f"row {place} has {other!r}, which row 0 doesn't have")
    return _Columns([[row[key] for row in rows] for key in wanted], len(rows))


def _find(header: Sequence[str], model: Model) -> list[int]:
    """Returns the place of each of the model's columns, and warns of columns that the model doesn't
    use.
    """
    if model.column_names is None:
        _check_width(len(header), model)
        return list(range(len(header)))
    try:
        places: list[int] = model.find_columns(list(header))
    except ValueError as error:
        raise SettingError(str(error)) from None
    used = set(places)
    unused = [name for place, name in enumerate(header) if place not in used]
    if unused:
        warnings.warn(f"the model doesn't use {_listed(unused)}", UnusedColumnsWarning, stacklevel=6)
    return places


def _pandas(frame: Any, model: Model) -> Table:
    names = [str(name) for name in frame.columns]
    if model.column_names is not None and names == [str(place) for place in range(model.n_columns)]:
        # A frame made from an array calls its columns 0, 1, 2, ...
        places = list(range(len(names)))
    else:
        places = _find(names, model)
    columns = [_series(frame.iloc[:, place], names[place]) for place in places]
    result = _Columns(columns, len(frame))
    result.frame, result.index = "pandas", frame.index
    return result


def _series(series: Any, name: str) -> Any:
    kind = getattr(series.dtype, "kind", "O")
    if kind == "b" and not hasattr(series.dtype, "na_value"):
        return series.to_numpy(dtype=np.float64)
    if kind == "f" or (kind in "iu" and _fits(series)):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    if kind in "mMc":
        raise SettingError(f"column {name!r} holds {series.dtype}, neither numbers nor texts")
    return series.astype(object).to_numpy()


def _fits(series: Any) -> bool:
    known = series.dropna()
    return len(known) == 0 or (int(known.max()) <= _EXACT and int(known.min()) >= -_EXACT)


def _polars(frame: Any, model: Model) -> Table:
    names = list(frame.columns)
    places = _find(names, model)
    columns = [_polars_series(frame.get_column(names[place])) for place in places]
    result = _Columns(columns, frame.height)
    result.frame = "polars"
    return result


def _polars_series(series: Any) -> Any:
    kind = str(series.dtype)
    if kind.startswith("Float") or kind in {"Int8", "Int16", "Int32", "UInt8", "UInt16", "UInt32"}:
        return np.array([np.nan if cell is None else cell for cell in series.to_list()], dtype=np.float64)
    if kind.startswith(("Date", "Time", "Duration", "List", "Struct", "Array", "Binary", "Decimal", "Object")):
        raise SettingError(f"column {series.name!r} holds {kind}, neither numbers nor texts")
    return series.to_list()
