"""Models of XGBoost, LightGBM and CatBoost: their own files, and what they answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ._errors import ImportRefused, SettingError
from ._rows import Rows, as_csv

#: The libraries, by the name of their module.
_LIBRARIES = {"xgboost": "XGBoost", "lightgbm": "LightGBM", "catboost": "CatBoost"}
#: Versions of ONNX's operators that onnxmltools writes.
OPERATORS = {"": 18, "ai.onnx.ml": 3}
#: Ends of the names of estimators that onnxmltools converts.
_KINDS = ("Classifier", "Regressor")


def origin(model: Any) -> str | None:
    """Returns the module of the library that a model is of, if it is one of these."""
    modules = {kind.__module__.split(".")[0] for kind in type(model).__mro__}
    return next((name for name in _LIBRARIES if name in modules), None)


def export(model: Any, rows: Rows, scratch: Path) -> tuple[Path, list[str] | None]:
    """Writes the model by its own library. Returns the file, and the names of its classes if the
    file doesn't have them.
    """
    name = origin(model)
    if not _is_fitted(model):
        raise SettingError(f"model: {type(model).__name__} is not fitted: call fit with the training rows first")
    missing = getattr(model, "missing", None)
    if name == "xgboost" and missing is not None and not np.isnan(missing):
        raise ImportRefused(f"it takes {missing} for a missing value, which its file doesn't say: fit it with missing=np.nan, on rows with NaN there")
    try:
        if name == "xgboost":
            file = _xgboost(model, scratch)
        elif name == "lightgbm":
            file = _lightgbm(model, scratch)
        else:
            file = _catboost(model, rows, scratch)
    except Exception as error:
        raise ImportRefused(f"{_LIBRARIES[str(name)]} can't export this model: {error}") from error
    return file, _classes(model, file)


def column_names(model: Any) -> list[str] | None:
    """Returns the names of the columns that a fitted model knows, if it was fitted to a frame. Its
    file has them, and not the columns that no tree uses.
    """
    name = origin(model)
    names: Any = None
    if name == "xgboost":
        names = (model.get_booster() if hasattr(model, "get_booster") else model).feature_names
    elif name == "lightgbm":
        names = (model.booster_ if hasattr(type(model), "booster_") else model).feature_name()
    elif name == "catboost":
        names = model.feature_names_
    known = [str(column) for column in names or []]
    # These libraries make up names of columns that have none.
    made_up = all(column in (str(place), f"Column_{place}") for place, column in enumerate(known))
    return None if made_up else known


def _is_fitted(model: Any) -> bool:
    asked = getattr(model, "is_fitted", None) or getattr(model, "__sklearn_is_fitted__", None)
    return asked is None or bool(asked())


def _xgboost(model: Any, scratch: Path) -> Path:
    file = scratch / "model.json"
    booster: Any = model.get_booster() if hasattr(model, "get_booster") else model
    kind = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
    rounds = int(booster.attr("best_iteration") or booster.num_boosted_rounds()) + 1
    if booster is model and booster.attr("best_iteration") is not None:
        # It predicts with all trees, and a file with a best round is read as an estimator's.
        booster = booster.copy()
        booster.set_attr(best_iteration=None)
    elif booster is not model and kind != "gblinear" and rounds < booster.num_boosted_rounds():
        # Estimators predict with the trees up to the best round; the file would have all.
        booster = booster[:rounds]
    booster.save_model(str(file))
    return file


def _lightgbm(model: Any, scratch: Path) -> Path:
    file = scratch / "model.txt"
    booster = model.booster_ if hasattr(type(model), "booster_") else model
    booster.save_model(str(file))
    return file


def _catboost(model: Any, rows: Rows, scratch: Path) -> Path:
    file = scratch / "model.json"
    pool = None
    if model.get_cat_feature_indices():
        from catboost import Pool  # pyright: ignore[reportMissingImports]  # It need not be installed where types are checked.

        # The model has hashes of categories; with the rows, the file has their names, too.
        pool = Pool(rows.data, cat_features=model.get_cat_feature_indices())
    model.save_model(str(file), format="json", pool=pool)
    return file


def _classes(model: Any, file: Path) -> list[str] | None:
    """Returns the names of an estimator's classes, as the table of its answers has them."""
    if file.suffix == ".json":
        parameters = json.loads(file.read_bytes()).get("learner", {}).get("learner_model_param", {})
        if int(parameters.get("num_target", 1)) > 1:
            # Several labels at once, each of which is one or zero.
            return None
    classes = np.asarray(getattr(model, "classes_", None) if hasattr(model, "predict_proba") else None, dtype=object)
    return [str(as_csv(label)) for label in classes.tolist()] if classes.ndim == 1 and len(classes) > 1 else None


def drop_names(parts: Iterable[Any]) -> None:
    """Takes the names of columns from models of XGBoost: the converter doesn't take them."""
    for part in parts:
        if origin(part) == "xgboost" and _is_fitted(part):
            booster = part.get_booster() if hasattr(part, "get_booster") else part
            booster.feature_names = None


def convertible(names: set[str]) -> None:
    """Makes skl2onnx know the estimators of these libraries, for pipelines with steps before them.

    Raises:
        SettingError, ImportRefused: It can't; the message says what to do.
    """
    alone = "Or save the model alone, with the rows that the steps before it make of X: save(pipeline[-1], pipeline[:-1].transform(X), path)"
    if "catboost" in names:
        raise ImportRefused(f"a model of CatBoost can't be exported with other steps. {alone}; clients then run these steps themselves")
    try:
        from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
    except ImportError as error:
        shown = " and ".join(_LIBRARIES[name] for name in sorted(names))
        raise SettingError(
            f"saving a pipeline with a model of {shown} needs the package onnxmltools: pip install onnxmltools ({error}). {alone}"
        ) from error
    from skl2onnx import update_registered_converter
    from skl2onnx._supported_operators import sklearn_operator_name_map as known
    from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes, calculate_linear_regressor_output_shapes

    kinds: list[tuple[type, str, Any]] = []
    if "xgboost" in names:
        import xgboost

        kinds += [(getattr(xgboost, f"XGB{kind}"), f"XGBoostXGB{kind}", convert_xgboost) for kind in _KINDS + ("RFClassifier", "RFRegressor")]
    if "lightgbm" in names:
        import lightgbm

        kinds += [(getattr(lightgbm, f"LGBM{kind}"), f"LightGbmLGBM{kind}", convert_lightgbm) for kind in _KINDS]
    for kind, alias, convert in kinds:
        if kind in known:
            # The user has registered one.
            continue
        if kind.__name__.endswith("Classifier"):
            options: Any = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
            update_registered_converter(kind, alias, calculate_linear_classifier_output_shapes, convert, options=options)
        else:
            update_registered_converter(kind, alias, calculate_linear_regressor_output_shapes, convert, options={"split": None})


class _Predictor:
    """Answers as an estimator does, for models that don't."""

    def __init__(self, predict: Callable[[Any], Any]) -> None:
        self.predict = predict


class _Classifier:
    """Answers as an estimator does, from probabilities ``(rows,)`` of class 1 or ``(rows,
    classes)``.
    """

    def __init__(self, shares: Callable[[Any], Any], classes: int) -> None:
        self._shares = shares
        self.classes_ = np.arange(classes)

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        shares = np.asarray(self._shares(X))
        return shares if shares.ndim == 2 else np.column_stack([1 - shares, shares])

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        return np.asarray(np.argmax(self.predict_proba(X), axis=1))


def answering(model: Any) -> Any:
    """Returns what answers as an estimator: the model, or for a bare booster, whose ``predict``
    gives probabilities or takes no tables, an object with ``predict`` and ``predict_proba``.
    """
    name = origin(model)
    if name == "catboost" and not hasattr(model, "predict_proba"):
        from catboost import CatBoostError, to_classifier, to_regressor  # pyright: ignore[reportMissingImports]

        for convert in (to_classifier, to_regressor):
            try:
                return convert(model)
            except CatBoostError:
                # Its loss is not one of these.
                continue
        return _Predictor(model.predict)
    if name == "xgboost" and not hasattr(model, "get_booster"):
        import xgboost

        def predict(X: Any) -> Any:
            return model.predict(xgboost.DMatrix(X, enable_categorical=True))

        learner = json.loads(model.save_config())["learner"]
        return _answering(predict, learner["objective"]["name"], int(learner["learner_model_param"]["num_class"]))
    if name == "lightgbm" and not hasattr(type(model), "booster_"):
        described = model.dump_model()
        # A function of the user's has no name.
        return _answering(model.predict, described.get("objective", "").split(" ")[0], described["num_class"])
    return model


def _answering(predict: Callable[[Any], Any], objective: str, classes: int) -> _Predictor | _Classifier:
    """Returns what answers for a booster, whose objective says what its predictions are."""
    if objective in ("binary:logistic", "binary"):
        return _Classifier(predict, 2)
    if objective in ("multi:softprob", "multiclass", "multiclassova"):
        return _Classifier(predict, classes)
    return _Predictor(predict)
