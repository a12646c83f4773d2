"""What is exported of models of XGBoost, LightGBM and CatBoost, whatever is imported of it."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import catboost
import lightgbm
import numpy as np
import onnx
import pandas as pd
import pytest
import xgboost
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import blindscore
from blindscore import _save
from blindscore._boosted import answering
from blindscore._export import Exported, export
from blindscore._rows import Rows

FLOWERS, SPECIES = load_iris(return_X_y=True, as_frame=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[SPECIES]
PATIENTS, PROGRESS = load_diabetes(return_X_y=True, as_frame=True)
#: Few trees of a few splits.
SMALL: dict[str, Any] = {"n_estimators": 3, "max_depth": 3}
LEAVES: dict[str, Any] = {"n_estimators": 3, "num_leaves": 5, "verbose": -1}
TREES: dict[str, Any] = {"iterations": 3, "depth": 3, "verbose": 0}


def of_xgboost(file: Path, X: Any) -> Any:
    """Returns what the model in a file predicts, as its library reads it."""
    return xgboost.Booster(model_file=str(file)).predict(xgboost.DMatrix(X))


def of_lightgbm(file: Path, X: Any) -> Any:
    return lightgbm.Booster(model_file=str(file)).predict(X)


def of_catboost(kind: Any) -> Any:
    def predict(file: Path, X: Any) -> Any:
        model = kind().load_model(str(file), format="json")
        return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)

    return predict


CASES = {
    "XGBClassifier": (xgboost.XGBClassifier(**SMALL), SPECIES, "model.json", ["0", "1", "2"], of_xgboost),
    "XGBClassifier of two": (xgboost.XGBClassifier(**SMALL), SPECIES > 1, "model.json", ["0", "1"], of_xgboost),
    "XGBClassifier, dart": (xgboost.XGBClassifier(**SMALL, booster="dart"), SPECIES, "model.json", ["0", "1", "2"], of_xgboost),
    "XGBClassifier, gblinear": (xgboost.XGBClassifier(booster="gblinear"), SPECIES, "model.json", ["0", "1", "2"], of_xgboost),
    "XGBRFClassifier": (xgboost.XGBRFClassifier(**SMALL), SPECIES, "model.json", ["0", "1", "2"], of_xgboost),
    "XGBRegressor": (xgboost.XGBRegressor(**SMALL), SPECIES, "model.json", None, of_xgboost),
    "LGBMClassifier": (lightgbm.LGBMClassifier(**LEAVES), NAMES, "model.txt", ["setosa", "versicolor", "virginica"], of_lightgbm),
    "LGBMClassifier of two": (lightgbm.LGBMClassifier(**LEAVES), SPECIES > 1, "model.txt", ["0", "1"], of_lightgbm),
    "LGBMRegressor": (lightgbm.LGBMRegressor(**LEAVES), SPECIES, "model.txt", None, of_lightgbm),
    "CatBoostClassifier": (
        catboost.CatBoostClassifier(**TREES),
        NAMES,
        "model.json",
        ["setosa", "versicolor", "virginica"],
        of_catboost(catboost.CatBoostClassifier),
    ),
    "CatBoostRegressor": (catboost.CatBoostRegressor(**TREES), SPECIES, "model.json", None, of_catboost(catboost.CatBoostRegressor)),
}


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a pipeline"])
@pytest.mark.parametrize("name", CASES)
def test_the_librarys_own_file_predicts_the_same_and_classes_are_named(name: str, alone: bool, tmp_path: Path) -> None:
    model, y, file, labels, read = CASES[name]
    pipeline = model if alone else Pipeline([("nothing", "passthrough"), ("model", Pipeline([("inner", model)]))])
    pipeline.fit(FLOWERS, y)
    found = export(pipeline, Rows(FLOWERS), tmp_path)
    assert found == Exported(tmp_path / file, labels)
    wanted = pipeline.predict_proba(FLOWERS) if hasattr(pipeline, "predict_proba") else pipeline.predict(FLOWERS)
    predicted = read(found.file, FLOWERS)
    if predicted.ndim == 1 and labels is not None:
        predicted = np.column_stack([1 - predicted, predicted])
    np.testing.assert_allclose(predicted, wanted, rtol=1e-5, atol=1e-6)


def test_boosters_are_saved_as_they_are(tmp_path: Path) -> None:
    booster = xgboost.XGBClassifier(**SMALL).fit(FLOWERS, SPECIES).get_booster()
    assert export(booster, Rows(FLOWERS), tmp_path) == Exported(tmp_path / "model.json", None)
    assert booster.feature_names == list(FLOWERS.columns)
    booster = lightgbm.LGBMClassifier(**LEAVES).fit(FLOWERS, NAMES).booster_
    assert export(booster, Rows(FLOWERS), tmp_path) == Exported(tmp_path / "model.txt", None)


def test_trees_after_the_best_round_are_left_out(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(n_estimators=100, early_stopping_rounds=5, max_depth=4)
    model.fit(FLOWERS[::2], SPECIES[::2], eval_set=[(FLOWERS[1::2], SPECIES[1::2])], verbose=False)
    assert model.get_booster().num_boosted_rounds() > model.best_iteration + 1
    file = export(model, Rows(FLOWERS), tmp_path).file
    np.testing.assert_allclose(of_xgboost(file, FLOWERS), model.predict_proba(FLOWERS), atol=1e-6)


def test_several_labels_at_once_are_no_classes(tmp_path: Path) -> None:
    y = np.column_stack([SPECIES > 0, SPECIES > 1]).astype(int)
    model = xgboost.XGBClassifier(**SMALL).fit(FLOWERS, y)
    assert export(model, Rows(FLOWERS), tmp_path).labels is None


def test_a_file_of_catboost_has_the_names_of_categories(tmp_path: Path) -> None:
    X = FLOWERS.assign(colour=np.where(SPECIES == 0, "blue", "violet"))
    model = catboost.CatBoostClassifier(**TREES, cat_features=["colour"]).fit(X, SPECIES)
    features = json.loads(export(model, Rows(X), tmp_path).file.read_bytes())["features_info"]
    assert {entry["value"] for entry in features["cat_features_hash"]} == {"blue", "violet"}


@pytest.mark.parametrize("frame", [True, False])
@pytest.mark.parametrize(
    "model",
    [
        xgboost.XGBClassifier(**SMALL),
        xgboost.XGBRFClassifier(**SMALL),
        xgboost.XGBRegressor(**SMALL),
        xgboost.XGBRFRegressor(**SMALL),
        lightgbm.LGBMClassifier(**LEAVES),
        lightgbm.LGBMRegressor(**LEAVES),
        VotingClassifier([("a", xgboost.XGBClassifier(**SMALL)), ("b", lightgbm.LGBMClassifier(**LEAVES))], voting="soft"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_a_pipeline_is_onnx_with_the_steps_and_the_trees(model: Any, frame: bool, tmp_path: Path) -> None:
    X = FLOWERS if frame else FLOWERS.to_numpy(np.float32)
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas" if frame else "default"), model).fit(X, SPECIES)
    found = export(pipeline, Rows(X), tmp_path)
    assert found == Exported(tmp_path / "model.onnx", None)
    kinds = [node.op_type for node in onnx.load(found.file).graph.node]
    assert any(kind.startswith("TreeEnsemble") for kind in kinds) and {"Scaler", "Sub"} & set(kinds)
    # The pipeline itself is left as it was.
    if frame and isinstance(model, xgboost.XGBModel):
        assert model.get_booster().feature_names == list(FLOWERS.columns)


def test_pipelines_that_cannot_be_exported_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline = make_pipeline(StandardScaler(), catboost.CatBoostClassifier(**TREES)).fit(FLOWERS, SPECIES)
    with pytest.raises(blindscore.ImportRefused, match=r"CatBoost can't be exported with other steps. .*save\(pipeline\[-1\], pipeline"):
        export(pipeline, Rows(FLOWERS), tmp_path)
    monkeypatch.setitem(sys.modules, "onnxmltools.convert.xgboost.operator_converters.XGBoost", None)
    pipeline = make_pipeline(StandardScaler(), xgboost.XGBClassifier(**SMALL)).fit(FLOWERS, SPECIES)
    with pytest.raises(blindscore.SettingError, match=r"XGBoost needs the package onnxmltools: pip install onnxmltools .*pipeline\[-1\]"):
        export(pipeline, Rows(FLOWERS), tmp_path)


@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, lightgbm.LGBMRegressor, catboost.CatBoostClassifier])
def test_a_model_that_is_not_fitted_is_named(kind: Any, tmp_path: Path) -> None:
    with pytest.raises(blindscore.SettingError, match=f"{kind.__name__} is not fitted"):
        export(kind(), Rows(FLOWERS), tmp_path)


def test_a_missing_value_that_the_file_does_not_tell_is_refused(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(**SMALL, missing=-1).fit(FLOWERS, SPECIES)
    with pytest.raises(blindscore.ImportRefused, match="takes -1 for a missing value"):
        export(model, Rows(FLOWERS), tmp_path)


def test_boosters_answer_as_their_estimators(cancer: SimpleNamespace) -> None:
    X, y = cancer.X, cancer.y
    names = np.array(["ill", "well"])[y]
    pairs = [
        (estimator, estimator.get_booster()) for estimator in (xgboost.XGBClassifier(**SMALL).fit(X, y), xgboost.XGBRegressor(**SMALL).fit(X, y))
    ]
    pairs += [
        (estimator, estimator.booster_) for estimator in (lightgbm.LGBMClassifier(**LEAVES).fit(X, y), lightgbm.LGBMRegressor(**LEAVES).fit(X, y))
    ]
    for loss, target in (("Logloss", names), ("RMSE", y)):
        plain = catboost.CatBoost({**TREES, "loss_function": loss}).fit(X, target)
        pairs.append(((catboost.to_classifier if loss == "Logloss" else catboost.to_regressor)(plain), plain))
    for estimator, booster in pairs:
        found = answering(booster)
        np.testing.assert_array_equal(np.ravel(found.predict(X)), np.ravel(estimator.predict(X)))
        assert hasattr(found, "predict_proba") == hasattr(estimator, "predict_proba")
        if hasattr(estimator, "predict_proba"):
            np.testing.assert_allclose(found.predict_proba(X), estimator.predict_proba(X), atol=1e-6)
            assert found.classes_.tolist() == estimator.classes_.tolist()
    three = xgboost.XGBClassifier(**SMALL).fit(FLOWERS, SPECIES)
    assert (answering(three.get_booster()).predict(FLOWERS) == three.predict(FLOWERS)).all()
    assert answering(three) is three


@pytest.mark.parametrize(("given", "names"), [(None, ["setosa", "versicolor", "virginica"]), (["a", "b", "c"], ["a", "b", "c"])])
def test_save_passes_the_classes_and_compares_with_them(
    given: list[str] | None, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}

    def imported(file: Path, name: str, folder: Path, **options: Any) -> tuple[Path, list[str], str]:
        seen.update(options, file=file.name, expected=pd.read_csv(options["expect"]))
        return folder / f"{name}@1.safetensors", [], "{}"

    monkeypatch.setattr(_save, "import_model", imported)
    model = make_pipeline(lightgbm.LGBMClassifier(**LEAVES)).fit(FLOWERS, NAMES)
    blindscore.save(model, FLOWERS, tmp_path / "iris.safetensors", labels=given)
    assert (seen["file"], seen["labels"]) == ("model.txt", names)
    assert seen["expected"].columns.tolist() == ["predicted", *(f"proba_{name}" for name in names)]
    renamed = dict(zip(model.classes_, names, strict=True))
    assert seen["expected"]["predicted"].tolist() == [renamed[label] for label in model.predict(FLOWERS)]
    np.testing.assert_allclose(seen["expected"].iloc[:, 1:], model.predict_proba(FLOWERS))


def test_linear_boosters_are_served_from_their_json(tmp_path: Path) -> None:
    model = xgboost.XGBClassifier(booster="gblinear").fit(FLOWERS, SPECIES)
    report = blindscore.save(model, FLOWERS, tmp_path / "linear.safetensors")
    assert report.details["expected_rows"] == len(FLOWERS)
    booster = xgboost.XGBRegressor(booster="gblinear").fit(PATIENTS, PROGRESS).get_booster()
    assert blindscore.save(booster, PATIENTS, tmp_path / "progress.safetensors").details["expected_rows"] == len(PATIENTS)
