"""Rows of training data, as :func:`blindscore.save` takes them."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._errors import SettingError

#: Number of values that are written for an import; larger tables are sampled.
_MOST_VALUES = 4_000_000


class Rows:
    """Rows of training data in the forms that converters and the importer take."""

    def __init__(self, X: Any) -> None:
        self.text = False
        self.frame: Any = None
        #: The rows as the model takes them.
        self.data: Any
        if isinstance(X, np.ma.MaskedArray):
            raise SettingError("X: models don't see what a masked array masks: write NaN where a value is missing, X.filled(np.nan)")
        if X is None or isinstance(X, (str, bytes)):
            raise SettingError(f"X: {type(X).__name__} can't be read as rows")
        if hasattr(X, "iloc") and hasattr(X, "columns"):
            self.frame = X
            self.names: list[str] | None = [str(name) for name in X.columns]
            if len(set(self.names)) != len(self.names):
                raise SettingError("X: two columns have the same name")
            self.data = X
        elif hasattr(X, "to_pandas") and hasattr(X, "columns"):
            self.frame = self.data = X.to_pandas()
            self.names = [str(name) for name in X.columns]
        elif hasattr(X, "tocsr"):
            self.data, self.names = X.tocsr(), None
        else:
            data = X if hasattr(X, "dtype") or hasattr(X, "__array__") else list(X)
            if isinstance(data, list) and data and isinstance(data[0], Mapping):
                raise SettingError("X: rows are records here; the model was fitted on a frame or an array: give a frame, pandas.DataFrame(X)")
            array = np.asarray(data)
            if array.ndim == 1 and array.dtype.kind in "OUT":
                self.text, self.names = True, ["text"]
            elif array.ndim == 2:
                self.names = None
            else:
                raise SettingError(f"X: rows are a table of two dimensions, and X has {array.ndim}")
            self.data = array if hasattr(X, "dtype") else (data if self.text else array)
        self.count = self.data.shape[0] if hasattr(self.data, "shape") else len(self.data)
        if self.count == 0:
            raise SettingError("X: there are no rows")

    @property
    def width(self) -> int:
        return 1 if self.text else int(self.data.shape[1])

    @property
    def dtype(self) -> Any:
        return getattr(self.data, "dtype", None)

    def chosen(self) -> np.ndarray[Any, Any]:
        """Places of the rows to write: all, or of a large table a sample with each column's
        smallest and largest value.
        """
        if self.count * self.width <= _MOST_VALUES:
            return np.arange(self.count)
        places = set(np.linspace(0, self.count - 1, max(1, _MOST_VALUES // self.width - 2 * self.width), dtype=np.int64).tolist())
        for column in range(self.width):
            values = self._numbers(column)
            if values is not None:
                places |= {int(np.nanargmin(values)), int(np.nanargmax(values))}
        return np.array(sorted(places))

    def _numbers(self, column: int) -> np.ndarray[Any, Any] | None:
        values: Any = self.frame.iloc[:, column] if self.frame is not None else self.data[:, column]
        if hasattr(values, "toarray"):
            values = values.toarray().ravel()
        kind = getattr(getattr(values, "dtype", None), "kind", "O")
        if kind not in "fiu":
            return None
        array = np.asarray(values, dtype=np.float64)
        return None if np.isnan(array).all() else array

    def sampled(self) -> Any:
        """The rows of :meth:`chosen`, as the model takes them."""
        places = self.chosen()
        if len(places) == self.count:
            return self.data
        if self.frame is not None:
            return self.frame.iloc[places]
        return [self.data[place] for place in places] if isinstance(self.data, list) else self.data[places]

    def write(self, path: Path) -> None:
        """Writes the rows of :meth:`chosen` as a CSV file."""
        data = self.sampled()
        if hasattr(data, "toarray"):
            data = data.toarray()
        if self.frame is not None:
            columns = [_cells(data.iloc[:, place]) for place in range(self.width)]
            records: Iterator[Sequence[Any]] = zip(*columns, strict=True)
        elif self.text:
            records = ([text] for text in data)
        else:
            records = ([as_csv(cell) for cell in row] for row in np.asarray(data).tolist())
        write_csv(path, self.names, records)


def _cells(series: Any) -> list[Any]:
    return [as_csv(cell) for cell in series.astype(object).to_list()]


def as_csv(cell: Any) -> Any:
    """Returns a cell as CSV has it: nothing for a missing value, floats with all their digits."""
    if cell is None or cell != cell or type(cell).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(cell, (bool, np.bool_)):
        return int(cell)
    return repr(float(cell)) if isinstance(cell, (float, np.floating)) else cell


def write_csv(path: Path, header: Sequence[str] | None, records: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if header is not None:
            writer.writerow(header)
        writer.writerows(records)
