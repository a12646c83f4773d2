"""Tables of features with a class for each row: parsing, ranges, splits, and accuracies."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import evaluate

FEATURES, CLASSES, ROWS = 1_024, 100, 10_000_000


class BadTable(Exception):
    """A problem with a table, explained to its author."""


@dataclass
class Table:
    """Rows `x` [n, features] of finite numbers, and the class of each as an index into `labels`."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray | None
    y_test: np.ndarray | None
    features: list | None
    labels: list
    # The values of `y` in the file, in the order of the labels.
    classes: list


@dataclass
class Values:
    """Rows `x` [n, features], and the finite numbers `y` [n, targets] of each."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray | None
    y_test: np.ndarray | None


def opened(path):
    """Returns the arrays of an .npz file, with X and y and, in pairs, X_test and y_test."""
    if not Path(path).is_file():
        raise BadTable(f"there is no file {path}")
    if not zipfile.is_zipfile(path):
        raise BadTable(f"{path} is not an .npz file; np.savez(path, X=X, y=y) writes one")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError as error:
        raise BadTable(f"{path}: {error}. Arrays must hold numbers, or strings of a numpy string type (y.astype(str))") from error
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise BadTable(f"{path} can't be read: {error}") from error
    for name in ("X", "y"):
        if name not in arrays:
            raise BadTable(f"{path} has no array {name!r}; np.savez(path, X=X, y=y) writes one that has")
    if ("X_test" in arrays) != ("y_test" in arrays):
        raise BadTable("X_test and y_test only make sense together")
    return arrays


def read_values(path):
    """Reads a table from an .npz file with the arrays X and y, and optionally X_test and y_test,
    where y are numbers to estimate."""
    arrays = opened(path)
    x = rows(arrays["X"], "X")
    y = values(arrays["y"], "y", len(x))
    x_test = y_test = None
    if "X_test" in arrays:
        x_test = rows(arrays["X_test"], "X_test", x.shape[1])
        y_test = values(arrays["y_test"], "y_test", len(x_test))
        if y_test.shape[1] != y.shape[1]:
            raise BadTable(f"y_test has {y_test.shape[1]} numbers for each row, y has {y.shape[1]}")
    return Values(x, y, x_test, y_test)


def values(array, name, count):
    if array.ndim not in (1, 2) or len(array) != count or array.dtype.kind not in "fiu":
        raise BadTable(f"{name} has shape {array.shape} and type {array.dtype}; {count} numbers, or {count} rows of numbers, are needed")
    array = array.astype(np.float64).reshape(count, -1)
    if not np.isfinite(array).all():
        row = np.argwhere(~np.isfinite(array))[0][0]
        raise BadTable(f"{name}[{row}] is not a finite number")
    return array


def read(path):
    """Reads a table from an .npz file with the arrays X and y, and optionally X_test and y_test,
    features, and labels, where y are classes."""
    arrays = opened(path)
    x = rows(arrays["X"], "X")
    classes = np.unique(targets(arrays["y"], "y", len(x)))
    if not 2 <= len(classes) <= CLASSES:
        more = "; a network sorts into classes, it does not estimate numbers" if arrays["y"].dtype.kind == "f" else ""
        raise BadTable(f"y has {len(classes)} different values, not 2 to {CLASSES} classes{more}")
    if arrays["y"].dtype.kind == "f" and np.any(classes != np.round(classes)):
        raise BadTable(f"y has fractions, such as {classes[classes != np.round(classes)][0]}; classes are whole numbers or strings")
    x_test = y_test = None
    if "X_test" in arrays:
        x_test = rows(arrays["X_test"], "X_test", x.shape[1])
        y_test = indices(targets(arrays["y_test"], "y_test", len(x_test)), classes)
    return Table(
        x,
        indices(arrays["y"], classes),
        x_test,
        y_test,
        names(arrays.get("features"), "features", x.shape[1]),
        names(arrays.get("labels"), "labels", len(classes)) or [label(value) for value in classes],
        [label(value) for value in classes],
    )


def rows(array, name, features=None):
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise BadTable(f"{name} has shape {array.shape} and type {array.dtype}; numbers [rows, features] are needed")
    array = array.astype(np.float64)
    if not 1 <= array.shape[1] <= FEATURES:
        raise BadTable(f"{name} has {array.shape[1]} features, not 1 to {FEATURES:,}")
    if features is not None and array.shape[1] != features:
        raise BadTable(f"{name} has {array.shape[1]} features, X has {features}")
    if not 1 <= len(array) <= ROWS:
        raise BadTable(f"{name} has {len(array)} rows, not 1 to {ROWS:,}")
    if not np.isfinite(array).all():
        row, column = np.argwhere(~np.isfinite(array))[0]
        raise BadTable(f"{name}[{row}, {column}] is {array[row, column]}; fill or drop what is missing first")
    if np.abs(array).max() > 1e100:
        raise BadTable(f"{name} has numbers beyond 1e100")
    return array


def targets(array, name, count):
    if array.shape != (count,) or array.dtype.kind not in "fiubU":
        raise BadTable(f"{name} has shape {array.shape} and type {array.dtype}; {count} classes, numbers or strings, are needed")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise BadTable(f"{name}[{np.argwhere(~np.isfinite(array))[0][0]}] is not a class")
    return array


def indices(values, classes):
    known = np.isin(values, classes)
    if not known.all():
        raise BadTable(f"y_test has a class that y has not: {values[~known][0]}")
    return np.searchsorted(classes, values)


def names(array, name, count):
    if array is None:
        return None
    if array.shape != (count,) or array.dtype.kind not in "Uiu":
        raise BadTable(f"{name} has shape {array.shape} and type {array.dtype}; {count} names are needed")
    listed = [str(value) for value in array]
    if len(set(listed)) < count or not all(listed):
        raise BadTable(f"{name} has a name twice, or an empty one")
    return listed


def label(value):
    return str(int(value)) if value.dtype.kind == "f" else str(value)


def ranges(x, widen):
    """Returns the smallest and largest allowed value of each feature.

    The range of the rows is widened on both sides by `widen` times its width. Features that are
    never negative stay so, and a constant feature still gets a range.
    """
    low, high = x.min(0), x.max(0)
    high = np.where(low < high, high, low + np.maximum(np.abs(low), 1))
    more = widen * (high - low)
    return np.where(low >= 0, np.maximum(low - more, 0), low - more), high + more


def split(y, share, generator):
    """Returns indices of training and validation rows. Classes keep their shares, and each keeps at
    least one training row."""
    held = []
    for value in np.unique(y):
        found = generator.permutation(np.flatnonzero(y == value))
        held.extend(found[: min(round(share * len(found)), len(found) - 1)])
    kept = np.ones(len(y), bool)
    kept[held] = False
    return np.flatnonzero(kept), np.flatnonzero(~kept)


def largest_logit(tensors):
    """Returns a bound on |logit - bias| for any input: all reads of a class at their extremes."""
    return float(np.abs(tensors["v"].astype(np.int64)).sum((1, 2)).max())


def accuracies(tensors, size, x, y):
    """Returns the integer model's accuracies on levels `x`: in the clear, and with the noise that
    encryption adds to the projections."""
    p = evaluate.projections(tensors, size, x)
    return evaluate.accuracy(tensors, p, y), evaluate.accuracy(tensors, p, y, evaluate.noise(tensors), 5)
