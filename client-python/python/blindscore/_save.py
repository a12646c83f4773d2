"""Model files from fitted models."""

from __future__ import annotations

import copy
import csv
import html
import json
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._blindscore import import_model
from ._client import _labels
from ._errors import ImportRefused, SettingError

#: Number of values that are written for an import; larger tables are sampled.
_MOST_VALUES = 4_000_000
#: Name of a model, with its version if it has one.
_NAME = re.compile(r"^(?P<name>[a-z0-9][a-z0-9-]*)(@(?P<version>[0-9]+))?$")


class Report:
    """What an import has found and chosen. Printed, it is a table; in a notebook, too.

    Attributes:
        path: Path of the model file.
        name: Name of the model, as :class:`blindscore.Client` takes it.
        details: All findings by name, as ``blindscore import --json`` prints them.
    """

    def __init__(self, path: Path, lines: list[str], details: dict[str, Any]) -> None:
        self.path = path
        self.name = path.stem.split("@")[0]
        self.details = details
        self._lines = lines

    def __repr__(self) -> str:
        return "\n".join(self._lines)

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def save(
    model: Any,
    X: Any,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    labels: Sequence[str] | None = None,
    task: str | None = None,
    ranges: tuple[float, float] | None = None,
    max_error: float | None = None,
    check_rows: int | None = None,
) -> Report:
    """Writes a fitted model as a model file, which a server serves.

    Whatever stands before the linear model (imputing, scaling, categories, words) becomes an
    encoding that clients run; the weights stay with the server. Before anything is written, the
    rows of ``X`` are answered by the model file and by the model itself, and the answers must
    agree: all rows, or of more than four million values a sample with each column's smallest and
    largest value. The report says how many.

    Args:
        model: Fitted scikit-learn estimator or pipeline (with the package ``skl2onnx``), XGBoost or
            LightGBM model (with ``onnxmltools``), CatBoost model, or PyTorch module.
        X: Rows as the model takes them, typically the training rows: they give the ranges of the
            features, which clients refuse to leave.
        path: Model file, ``models/churn.safetensors``: the folder is the server's folder of models,
            and ``churn`` the model's name. The file gets the next version, ``churn@1.safetensors``.
        title: One line for people.
        labels: Names of the outputs or classes, if the model doesn't have them.
        task: ``"classification"``, ``"multilabel"`` or ``"regression"``, if the model leaves it
            open.
        ranges: Smallest and largest value of every feature, instead of those in ``X``.
        max_error: Largest allowed error of a score, as a share of its range.
        check_rows: Number of rows to score encrypted.

    Returns:
        A report with the path of the file, its precision, and the measured agreement.

    Raises:
        ImportRefused: The kind of model isn't served, or the model file would answer differently.
            The message says what to do.
        SettingError: An argument can't be used.

    Example:
        >>> report = blindscore.save(pipeline, X_train, "models/churn.safetensors")  # doctest:
        +SKIP
    """
    folder, name = _target(path)
    if check_rows is not None and check_rows < 1:
        raise SettingError(f"check_rows: {check_rows} is not at least 1")
    rows = _Rows(X)
    _check_classes(model)
    with tempfile.TemporaryDirectory(prefix="blindscore-") as scratch_:
        scratch = Path(scratch_)
        file = _export(model, rows, scratch)
        calibrate, expect = scratch / "rows.csv", None
        rows.write(calibrate)
        answers = _answers(model, rows, labels)
        if answers is not None:
            expect = scratch / "expected.csv"
            _write(expect, *answers)
        try:
            found, lines, details = import_model(
                file,
                name,
                folder,
                title=title,
                calibrate=calibrate,
                expect=expect,
                has_header=rows.names is not None,
                labels=None if labels is None else [str(label) for label in labels],
                task=task,
                ranges=ranges,
                max_error=max_error,
                check_rows=check_rows,
            )
        except ImportRefused as error:
            raise ImportRefused(_in_words_of_python(str(error), scratch)) from None
    return Report(Path(found), [line.replace(str(scratch), "") for line in lines], json.loads(details))


def _in_words_of_python(text: str, scratch: Path) -> str:
    """Returns a message of the importer with this function's arguments instead of the command's
    options, and without the paths of its own files.
    """
    text = re.sub(rf"(importing )?{re.escape(str(scratch))}/[a-z.]+: ", "", text)
    arguments = {"calibrate": "X", "expect": "the model's own predictions", "input-min": "ranges", "input-max": "ranges"}
    return re.sub(r"--([a-z]+(?:-[a-z]+)*)", lambda option: arguments.get(option[1], option[1].replace("-", "_")), text)


def _target(path: str | os.PathLike[str]) -> tuple[Path, str]:
    """Returns the folder and the name of a model file."""
    target = Path(path)
    if target.is_dir():
        raise SettingError(f"path: {str(target)!r} is a folder; add the model's name, such as {str(target / 'churn.safetensors')!r}")
    stem = target.name.removesuffix(".safetensors")
    found = _NAME.match(stem)
    if found is None:
        raise SettingError(f"path: {stem!r} is not a model's name: a-z, 0-9 and '-' are possible, as in models/churn.safetensors")
    if found["version"] is not None:
        raise SettingError(f"path: leave out the version, @{found['version']}: the file gets the next one")
    return target.parent, found["name"]


class _Rows:
    """Rows of training data in the forms that converters and the importer take."""

    def __init__(self, X: Any) -> None:
        self.text = False
        self.frame: Any = None
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
        values = self.frame.iloc[:, column] if self.frame is not None else self.data[:, column]
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
            records = ([_cell(cell) for cell in row] for row in np.asarray(data).tolist())
        _write(path, self.names, records)


def _cells(series: Any) -> list[Any]:
    return [_cell(cell) for cell in series.astype(object).to_list()]


def _cell(cell: Any) -> Any:
    """Returns a cell as CSV has it: nothing for a missing value, floats with all their digits."""
    if cell is None or cell != cell or type(cell).__name__ in ("NAType", "NaTType"):
        return ""
    if isinstance(cell, (bool, np.bool_)):
        return int(cell)
    return repr(float(cell)) if isinstance(cell, (float, np.floating)) else cell


def _write(path: Path, header: Sequence[str] | None, records: Iterator[Sequence[Any]] | Sequence[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if header is not None:
            writer.writerow(header)
        writer.writerows(records)


def _answers(model: Any, rows: _Rows, labels: Sequence[str] | None) -> tuple[list[str], list[list[Any]]] | None:
    """Returns the model's own answers as a table, if it predicts. ``labels`` rename its classes."""
    if not callable(getattr(model, "predict", None)):
        return None
    data = rows.sampled()
    predicted = np.asarray(model.predict(data))
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        return ["predicted"], [[json.dumps(row)] for row in predicted.tolist()]
    header, columns = ["predicted"], [[_cell(cell) for cell in predicted.ravel().tolist()]]
    classes = getattr(model, "classes_", None)
    if classes is not None:
        classes = np.asarray(classes).tolist()
        if labels is not None and len(labels) == len(classes):
            names = dict(zip(classes, labels, strict=True))
            columns = [[names[label] for label in predicted.ravel().tolist()]]
            classes = list(labels)
    if classes is not None and _has_probabilities(model):
        shares = np.asarray(model.predict_proba(data))
        for label, share in zip(classes, shares.T, strict=True):
            header.append(f"proba_{label}")
            columns.append([_cell(cell) for cell in share.tolist()])
    return header, [list(record) for record in zip(*columns, strict=True)]


def _check_classes(model: Any) -> None:
    """Warns of classes that clients give back otherwise: a server knows only their names."""
    classes = getattr(model, "classes_", None)
    if classes is None or isinstance(classes, list):
        return
    array = np.asarray(classes)
    names = [str(name) for name in array.tolist()]
    if array.dtype.kind in "OUT" and any(isinstance(name, str) for name in array.tolist()) and _labels(names).dtype.kind == "i":
        warnings.warn(f"the classes are texts that read as whole numbers ({', '.join(names[:3])}): clients return whole numbers", stacklevel=3)


def _has_probabilities(model: Any) -> bool:
    return callable(getattr(model, "predict_proba", None))


def _export(model: Any, rows: _Rows, scratch: Path) -> Path:
    """Writes the model by its own library's export."""
    if isinstance(model, type):
        raise SettingError(f"model: {model.__qualname__} is a class: give a fitted object of it")
    modules = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
    if "torch" in modules:
        return _torch(model, rows, scratch)
    if "catboost" in modules:
        file = scratch / "model.onnx"
        model.save_model(str(file), format="onnx")
        return file
    if "interpret" in modules:
        file = scratch / "model.json"
        model.to_json(str(file), detail="minimal")
        return file
    if "xgboost" in modules or "lightgbm" in modules:
        return _boosted(model, rows, scratch, "xgboost" if "xgboost" in modules else "lightgbm")
    if hasattr(model, "get_params") and hasattr(model, "predict"):
        return _sklearn(model, rows, scratch)
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise SettingError(
        f"model: {kind} is not a kind of model that can be saved. scikit-learn estimators and pipelines, XGBoost, LightGBM and "
        "CatBoost models and PyTorch modules can; other models may be exported as ONNX, for `blindscore import`"
    )


def _needs(package: str, error: ImportError) -> SettingError:
    return SettingError(f"saving this model needs the package {package}: pip install {package} ({error})")


def _sklearn(model: Any, rows: _Rows, scratch: Path) -> Path:
    try:
        from skl2onnx import to_onnx
    except ImportError as error:
        raise _needs("skl2onnx", error) from error
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError as error:
        raise SettingError(f"model: {type(model).__name__} is not fitted: call fit with the training rows first") from error
    except TypeError:
        # It has no fit. The converter says whether it knows this kind.
        pass
    model = _convertible(model)
    problems: list[str] = []
    for types in _types(rows):
        for options in _options(model):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    onnx = to_onnx(model, initial_types=types, options=options)
            except Exception as error:  # noqa: BLE001 - converters raise anything; the first problem is reported.
                problems.append(f"{type(error).__name__}: {error}".strip().splitlines()[0])
                continue
            file = scratch / "model.onnx"
            file.write_bytes(onnx.SerializeToString())
            return file
    raise ImportRefused(f"skl2onnx can't convert this model: {problems[0]}")


#: What the converter refuses although predictions don't depend on it: by kind, the parameter and
#: its value, and the value that it takes.
_HARMLESS = {
    "KBinsDiscretizer": ("encode", "onehot", "onehot-dense"),
    "VotingClassifier": ("flatten_transform", True, False),
}


def _convertible(model: Any) -> Any:
    """Returns the model, or a copy that predicts the same and that the converter takes."""
    if not any(True for _ in _refused(model, set())):
        return model
    model = copy.deepcopy(model)
    for part, parameter, value in list(_refused(model, set())):
        setattr(part, parameter, value)
    return model


def _refused(part: Any, seen: set[int]) -> Iterator[tuple[Any, str, Any]]:
    """Returns the parts of a model that the converter refuses, with the parameter to change."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, (list, tuple)):
        parts = list(part)
    elif isinstance(part, dict):
        parts = list(part.values())
    elif hasattr(part, "get_params") and not isinstance(part, type):
        parameter, refused, taken = _HARMLESS.get(type(part).__name__, ("", None, None))
        if parameter and getattr(part, parameter, None) == refused:
            yield part, parameter, taken
        parts = list(vars(part).values())
    else:
        return
    for inner in parts:
        yield from _refused(inner, seen)


def _options(model: Any) -> Iterator[dict[int, dict[str, Any]] | None]:
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if type(last).__name__ == "LinearSVC":
        yield {id(last): {"raw_scores": True}}
    if hasattr(model, "predict_proba"):
        yield {id(model): {"zipmap": True}}
    yield None


def _types(rows: _Rows) -> Iterator[list[tuple[str, Any]]]:
    """Returns types of the inputs for the converter: first as they are, then as converters may like
    them better.
    """
    from skl2onnx.common.data_types import BooleanTensorType, DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType

    if rows.text:
        yield [("text", StringTensorType([None]))]
        return
    kinds: list[tuple[str, Any]] = []
    if rows.frame is None:
        kinds = [("X", np.dtype(rows.dtype))]
    elif rows.names is not None:
        kinds = list(zip(rows.names, rows.frame.dtypes, strict=True))
    width = rows.width if rows.frame is None else 1

    def declared(kind: Any, flag: Callable[..., Any], integer: Callable[..., Any], floating: Callable[..., Any] | None) -> Any:
        code = getattr(kind, "kind", "O")
        if code == "f":
            exact = DoubleTensorType if np.dtype(getattr(kind, "numpy_dtype", kind)).itemsize > 4 else FloatTensorType
            return (floating or exact)([None, width])
        if code in "iu":
            return integer([None, width])
        if code == "b":
            return flag([None, width])
        return StringTensorType([None, width])

    for flag, integer, floating in [
        (BooleanTensorType, Int64TensorType, None),
        (Int64TensorType, Int64TensorType, None),
        (DoubleTensorType, DoubleTensorType, DoubleTensorType),
        (FloatTensorType, FloatTensorType, FloatTensorType),
    ]:
        yield [(name, declared(kind, flag, integer, floating)) for name, kind in kinds]
    if rows.frame is not None and all(getattr(kind, "kind", "O") in "fiub" for _, kind in kinds):
        # An estimator without a transformer before it takes one tensor. The names are in the rows.
        for tensor in (DoubleTensorType, FloatTensorType):
            yield [("X", tensor([None, rows.width]))]


def _boosted(model: Any, rows: _Rows, scratch: Path, library: str) -> Path:
    try:
        import onnxmltools
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ImportError as error:
        raise _needs("onnxmltools", error) from error
    types = [("X", FloatTensorType([None, rows.width]))]
    if library == "xgboost" and hasattr(model, "get_booster"):
        # The converter takes no names; they are in the rows.
        model = copy.deepcopy(model)
        model.get_booster().feature_names = None
    convert = onnxmltools.convert_xgboost if library == "xgboost" else onnxmltools.convert_lightgbm
    try:
        onnx = convert(model, initial_types=types)
    except Exception as error:
        raise ImportRefused(f"onnxmltools can't convert this model: {error}") from error
    file = scratch / "model.onnx"
    file.write_bytes(onnx.SerializeToString())
    return file


def _torch(model: Any, rows: _Rows, scratch: Path) -> Path:
    import torch

    if rows.frame is not None or rows.text:
        raise SettingError("X: a PyTorch module takes an array of numbers")
    file = scratch / "model.onnx"
    example = torch.tensor(np.asarray(rows.data[:1], dtype=np.float32))
    was_training = model.training
    model.eval()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(model, (example,), str(file), input_names=["X"], output_names=["scores"], dynamic_axes={"X": {0: "rows"}}, dynamo=False)
    except Exception as error:
        raise ImportRefused(f"torch.onnx can't export this module: {error}") from error
    finally:
        model.train(was_training)
    return file
