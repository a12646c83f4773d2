"""Files of fitted models, as the libraries that they come from export them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import _boosted, _converters
from ._errors import ImportRefused, SettingError
from ._rows import Rows


class Exported(NamedTuple):
    """A model that was exported."""

    file: Path
    #: Names of the classes, if the file doesn't have them.
    labels: list[str] | None = None


def export(model: Any, rows: Rows, scratch: Path) -> Exported:
    """Writes the model by its own library's export."""
    if isinstance(model, type):
        raise SettingError(f"model: {model.__qualname__} is a class: give a fitted object of it")
    model = _alone(model)
    if _boosted.origin(model) is not None:
        return Exported(*_boosted.export(model, rows, scratch))
    return Exported(_file(model, rows, scratch))


def _alone(model: Any) -> Any:
    """Returns the only step of a pipeline, if it has one only and this is of another library."""
    steps = getattr(model, "steps", None)
    if not isinstance(steps, list):
        return model
    used = [step for _, step in steps if step is not None and not (isinstance(step, str) and step == "passthrough")]
    only = _alone(used[0]) if len(used) == 1 else None
    return model if only is None or _boosted.origin(only) is None else only


def _file(model: Any, rows: Rows, scratch: Path) -> Path:
    modules = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
    if "torch" in modules:
        return _torch(model, rows, scratch)
    if "interpret" in modules:
        file = scratch / "model.json"
        model.to_json(str(file), detail="minimal")
        return file
    if hasattr(model, "get_params") and hasattr(model, "predict"):
        return _sklearn(model, rows, scratch)
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    raise SettingError(
        f"model: {kind} is not a kind of model that can be saved. scikit-learn estimators and pipelines, XGBoost, LightGBM and "
        "CatBoost models and PyTorch modules can; other models may be exported as ONNX, for `blindscore import`"
    )


def _needs(package: str, error: ImportError) -> SettingError:
    return SettingError(f"saving this model needs the package {package}: pip install {package} ({error})")


def _sklearn(model: Any, rows: Rows, scratch: Path) -> Path:
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
    boosted = {library for part in _parts(model, set()) if (library := _boosted.origin(part)) is not None}
    if boosted:
        _boosted.convertible(boosted)
        model = copy.deepcopy(model)
        _boosted.drop_names(_parts(model, set()))
    model = _convertible(model)
    _write_whole_flags()
    _converters.register()
    problems: list[str] = []
    for types in _types(rows):
        for options in _options(model):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    onnx: Any = to_onnx(model, initial_types=types, options=options, target_opset=_boosted.OPERATORS if boosted else None)
            except ImportRefused:
                raise
            except Exception as error:  # noqa: BLE001 - converters raise anything; the first problem is reported.
                problems.append(f"{type(error).__name__}: {error}".strip().splitlines()[0])
                continue
            file = scratch / "model.onnx"
            file.write_bytes(onnx.SerializeToString())
            return file
    raise ImportRefused(f"skl2onnx can't convert this model: {problems[0]}")


def _write_whole_flags() -> None:
    """Makes skl2onnx write the branches of missing values as whole numbers: for
    HistGradientBoosting it has truth values, which onnx no longer takes.
    """
    from skl2onnx.common import tree_ensemble

    add_node = tree_ensemble.add_node
    if hasattr(add_node, "writes_whole_flags"):
        return

    def written(*arguments: Any, **options: Any) -> None:
        if "nodes_missing_value_tracks_true" in options:
            options["nodes_missing_value_tracks_true"] = int(options["nodes_missing_value_tracks_true"])
        add_node(*arguments, **options)

    written.writes_whole_flags = True  # type: ignore[attr-defined]
    tree_ensemble.add_node = written


#: What the converter refuses although predictions don't depend on it: by kind, the parameter and
#: its value, and the value that it takes.
_HARMLESS = {
    "KBinsDiscretizer": ("encode", "onehot", "onehot-dense"),
    "VotingClassifier": ("flatten_transform", True, False),
}


def _convertible(model: Any) -> Any:
    """Returns the model, or a copy that predicts the same and that the converter takes."""
    if not _refused(model):
        return model
    model = copy.deepcopy(model)
    for part, parameter, value in _refused(model):
        setattr(part, parameter, value)
    return model


def _refused(model: Any) -> list[tuple[Any, str, Any]]:
    """Returns the parts of a model that the converter refuses, with the parameter to change."""
    found = []
    for part in _parts(model, set()):
        parameter, refused, taken = _HARMLESS.get(type(part).__name__, ("", None, None))
        if parameter and getattr(part, parameter, None) == refused:
            found.append((part, parameter, taken))
    return found


def _parts(part: Any, seen: set[int]) -> Iterator[Any]:
    """Returns the estimators of which a model is made, itself first."""
    if id(part) in seen:
        return
    seen.add(id(part))
    if isinstance(part, (list, tuple)):
        parts = list(part)
    elif isinstance(part, dict):
        parts = list(part.values())
    elif hasattr(part, "get_params") and not isinstance(part, type):
        yield part
        parts = list(vars(part).values())
    else:
        return
    for inner in parts:
        yield from _parts(inner, seen)


def _options(model: Any) -> Iterator[dict[int, dict[str, Any]] | None]:
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if type(last).__name__ == "LinearSVC":
        yield {id(last): {"raw_scores": True}}
    if hasattr(model, "predict_proba"):
        yield {id(model): {"zipmap": True}}
    yield None


def _types(rows: Rows) -> Iterator[list[tuple[str, Any]]]:
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


def _torch(model: Any, rows: Rows, scratch: Path) -> Path:
    import torch  # pyright: ignore[reportMissingImports]  # It need not be installed where types are checked.

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
