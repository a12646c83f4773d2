"""Estimators of scikit-learn that score on a server."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibrationDisplay
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import RocCurveDisplay, accuracy_score, get_scorer
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import check_is_fitted

import blindscore
from blindscore.sklearn import BlindscoreClassifier, BlindscoreRegressor

# --- scikit-learn's own checks --------------------------------------------------------------------

#: Numbers of columns of the rows in scikit-learn's checks.
WIDTHS = (1, 2, 3, 4, 5, 10, 20)

_NOISE = "decrypted scores differ by the encryption's noise from one call to the next, by more than rounding"
_WORDS = "refused as it should be, but not in the words that the check looks for"
_LEARNS = "it scores with the server's model, and learns nothing from the check's data"
_ROWS = "fit reads no rows; predict refuses those that can't be scored"
_SERVER = "the server tells the number of columns before fit"
_BOTH = {
    "check_n_features_in": _SERVER,
    "check_n_features_in_after_fitting": _WORDS,
    "check_fit2d_predict1d": _WORDS,
    "check_complex_data": _WORDS,
    "check_estimators_empty_data_messages": _WORDS,
    "check_estimators_nan_inf": _ROWS,
    "check_fit_idempotent": _NOISE,
    "check_estimators_pickle": _NOISE,
    "check_methods_sample_order_invariance": _NOISE,
    "check_methods_subset_invariance": _NOISE,
}
EXPECTED = {
    "BlindscoreClassifier": {
        **_BOTH,
        "check_classifiers_one_label": _LEARNS,
        "check_classifiers_train": _LEARNS,
        "check_classifiers_classes": "the check's classes are names, which the model doesn't know, and fit refuses",
        "check_decision_proba_consistency": "the check sorts rows with equal scores, which noise tells apart",
        "check_classifier_multioutput": "the model gives one class for each row; others give several labels",
        "check_classifiers_multilabel_representation_invariance": "the model gives one class for each row",
        "check_classifiers_multilabel_output_format_predict": "the model gives one class for each row",
        "check_classifiers_multilabel_output_format_predict_proba": "the model gives one class for each row",
        "check_classifiers_multilabel_output_format_decision_function": "the model gives one class for each row",
    },
    "BlindscoreRegressor": {
        **_BOTH,
        "check_regressors_train": _LEARNS,
        "check_regressor_multioutput": "the model gives one value for each row; others give several",
        "check_pipeline_consistency": _NOISE,
        "check_supervised_y_2d": _NOISE,
    },
}

#: Where the models of the checks are served. The checks are made before a server runs.
CHECKED = SimpleNamespace(url="")


class _ByWidth:
    """Scores with the model that has as many columns as the rows of the last ``fit``.

    scikit-learn's checks bring rows of many widths, and a model on a server has one.
    """

    _width = 4

    def fit(self, X: Any, y: Any = None) -> Any:
        shape = X.shape if hasattr(X, "tocsr") or hasattr(X, "iloc") else np.asarray(X).shape
        if len(shape) == 2 and shape[1] in WIDTHS:
            self._width = shape[1]
        return super().fit(X, y)  # type: ignore[misc]

    def _client(self) -> blindscore.Client:
        given = self.url, self.model
        self.url, self.model = CHECKED.url, f"{self.model}-{self._width}"
        try:
            return super()._client()  # type: ignore[misc, no-any-return]
        finally:
            self.url, self.model = given


class Classifier(_ByWidth, BlindscoreClassifier):
    pass


class Regressor(_ByWidth, BlindscoreRegressor):
    pass


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Serves a model of each width for classes 0 to 3, and for values."""
    folder = tmp_path_factory.mktemp("widths")
    random = np.random.default_rng(0)
    for width in WIDTHS:
        X = 30 * random.normal(size=(400, width))
        values = X.sum(axis=1) / (30 * width**0.5)
        classes = LogisticRegression(max_iter=5000).fit(X, np.digitize(values, [-1, 0, 1]))
        blindscore.save(classes, X, folder / f"classes-{width}.safetensors", ranges=(-100, 100))
        blindscore.save(LinearRegression().fit(X, values), X, folder / f"values-{width}.safetensors", ranges=(-100, 100))
    with blindscore.LocalServer(folder) as server:
        CHECKED.url = server.url
        yield


@parametrize_with_checks(
    [Classifier(model="classes", key="memory"), Regressor(model="values", key="memory")],
    expected_failed_checks=lambda estimator: EXPECTED[type(estimator).__mro__[2].__name__],
    xfail_strict=True,
)
def test_passes_the_checks_of_scikit_learn(estimator: Any, check: Any, checked: None) -> None:
    check(estimator)


# --- use ------------------------------------------------------------------------------------------


@pytest.fixture
def classifier(server: blindscore.LocalServer) -> BlindscoreClassifier:
    return BlindscoreClassifier(server.url, "cancer", key="memory")


@pytest.fixture
def regressor(server: blindscore.LocalServer) -> BlindscoreRegressor:
    return BlindscoreRegressor(server.url, "ridge", key="memory")


def test_answers_are_the_pipelines_as_plain_arrays(classifier: BlindscoreClassifier, cancer: SimpleNamespace) -> None:
    for X in (cancer.X, cancer.X.to_numpy()):
        predicted = classifier.predict(X)
        assert type(predicted) is np.ndarray and predicted.dtype == np.int64
        assert (predicted == cancer.pipeline.predict(cancer.X)).all()
        probabilities = classifier.predict_proba(X)
        assert type(probabilities) is np.ndarray
        np.testing.assert_allclose(probabilities, cancer.pipeline.predict_proba(cancer.X), atol=1e-3)
        scores = classifier.decision_function(X)
        assert type(scores) is np.ndarray
        np.testing.assert_allclose(scores, cancer.pipeline.decision_function(cancer.X), atol=1e-2)


def test_values_are_the_pipelines(regressor: BlindscoreRegressor, ridge: SimpleNamespace) -> None:
    values = regressor.predict(ridge.X)
    assert type(values) is np.ndarray and values.shape == (442,)
    np.testing.assert_allclose(values, ridge.pipeline.predict(ridge.X), atol=0.1)
    assert regressor.score(ridge.X, ridge.y) == pytest.approx(ridge.pipeline.score(ridge.X, ridge.y), abs=1e-4)


def test_is_fitted_without_fit(classifier: BlindscoreClassifier, regressor: BlindscoreRegressor, cancer: SimpleNamespace) -> None:
    check_is_fitted(classifier)
    assert classifier.classes_.tolist() == [0, 1]
    assert classifier.n_features_in_ == 30
    assert classifier.feature_names_in_.tolist() == list(cancer.X.columns)
    assert regressor.n_features_in_ == 10
    assert not hasattr(regressor, "feature_names_in_") and not hasattr(regressor, "classes_")


def test_scorers_and_displays_take_it(
    classifier: BlindscoreClassifier, regressor: BlindscoreRegressor, cancer: SimpleNamespace, ridge: SimpleNamespace
) -> None:
    for name in ("accuracy", "roc_auc", "neg_log_loss", "f1", "average_precision", "neg_brier_score"):
        expected = get_scorer(name)(cancer.pipeline, cancer.X, cancer.y)
        assert get_scorer(name)(classifier, cancer.X, cancer.y) == pytest.approx(expected, abs=1e-3)
    for name in ("r2", "neg_mean_absolute_error"):
        expected = get_scorer(name)(ridge.pipeline, ridge.X, ridge.y)
        assert get_scorer(name)(regressor, ridge.X, ridge.y) == pytest.approx(expected, abs=1e-2)
    display = CalibrationDisplay.from_estimator(classifier, cancer.X, cancer.y)
    np.testing.assert_allclose(display.y_prob, cancer.pipeline.predict_proba(cancer.X)[:, 1], atol=1e-3)
    RocCurveDisplay.from_estimator(classifier, cancer.X, cancer.y)


def test_cross_validation_scores_each_fold_with_one_key(classifier: BlindscoreClassifier, cancer: SimpleNamespace) -> None:
    predicted = cross_val_predict(classifier, cancer.X, cancer.y, cv=3)
    assert (predicted == cancer.pipeline.predict(cancer.X)).all()
    assert (cross_val_score(classifier, cancer.X, cancer.y, cv=3) > 0.95).all()
    assert clone(classifier)._client() is classifier._client()


def test_processes_of_joblib_make_their_own_client(classifier: BlindscoreClassifier, cancer: SimpleNamespace) -> None:
    predicted = cross_val_predict(classifier, cancer.X, cancer.y, cv=2, n_jobs=2)
    assert (predicted == cancer.pipeline.predict(cancer.X)).all()


def test_is_the_last_step_of_a_pipeline(classifier: BlindscoreClassifier, cancer: SimpleNamespace) -> None:
    keep = ColumnTransformer([("keep", "passthrough", list(cancer.X.columns))]).set_output(transform="pandas")
    keep.set_params(verbose_feature_names_out=False).fit(cancer.X)
    pipeline = Pipeline([("keep", keep), ("model", classifier)])
    assert accuracy_score(cancer.y, pipeline.predict(cancer.X)) == cancer.pipeline.score(cancer.X, cancer.y)
    fitted = clone(pipeline).fit(cancer.X, cancer.y)
    assert fitted.score(cancer.X, cancer.y) == cancer.pipeline.score(cancer.X, cancer.y)


def test_fit_refuses_what_the_model_would_have_to_learn(
    classifier: BlindscoreClassifier, regressor: BlindscoreRegressor, cancer: SimpleNamespace, ridge: SimpleNamespace
) -> None:
    with pytest.raises(blindscore.SettingError, match="y has the classes 'ill', which the model doesn't know; it has 0, 1, and learns no others"):
        classifier.fit(cancer.X, np.where(cancer.y == 1, "ill", "ill"))
    # Text is no number, even if it looks like one.
    with pytest.raises(blindscore.SettingError, match="the classes '0', '1'"):
        classifier.fit(cancer.X, cancer.y.astype(str))
    with pytest.raises(blindscore.SettingError, match="7 columns, the model takes 30"):
        classifier.fit(np.zeros((3, 7)), [0, 1, 1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        classifier.fit(cancer.X, cancer.y[:5])
    with pytest.raises(blindscore.SettingError, match="the model gives 1 value for each row"):
        regressor.fit(ridge.X, np.zeros((442, 2)))
    assert classifier.fit(cancer.X, cancer.y == 1) is classifier
    assert classifier.fit(cancer.X) is classifier


def test_each_task_has_its_estimator(server: blindscore.LocalServer, cancer: SimpleNamespace, ridge: SimpleNamespace) -> None:
    with pytest.raises(blindscore.SettingError, match="the model 'cancer' is for classification: use BlindscoreClassifier"):
        BlindscoreRegressor(server.url, "cancer", key="memory").predict(cancer.X)
    with pytest.raises(blindscore.SettingError, match="the model 'ridge' is for regression: use BlindscoreRegressor"):
        BlindscoreClassifier(server.url, "ridge", key="memory").fit(ridge.X)


def test_set_params_takes_another_model(classifier: BlindscoreClassifier, cancer: SimpleNamespace) -> None:
    classifier.predict(cancer.X[:2])
    classifier.set_params(model="mnist-linear")
    assert classifier.n_features_in_ == 784 and len(classifier.classes_) == 10


def test_a_secret_key_is_shared_by_clones_and_not_pickled(server: blindscore.LocalServer, cancer: SimpleNamespace) -> None:
    client = blindscore.Client(server.url, "cancer", key="memory")
    client.ensure_key()
    classifier = BlindscoreClassifier(server.url, "cancer", key=client.secret_key())
    copy = clone(clone(classifier))
    assert (copy.predict(cancer.X[:5]) == cancer.y[:5]).all()
    assert copy._client().key_id == client.key_id
    with pytest.raises(TypeError, match="a secret key is not pickled"):
        pickle.dumps(classifier)


def test_a_pickle_scores_with_a_new_key(classifier: BlindscoreClassifier, cancer: SimpleNamespace) -> None:
    classifier.predict(cancer.X[:2])
    copy = pickle.loads(pickle.dumps(classifier))
    assert (copy.predict(cancer.X[:20]) == cancer.pipeline.predict(cancer.X[:20])).all()
    assert copy._client().key_id != classifier._client().key_id


def test_the_token_is_not_displayed() -> None:
    classifier = BlindscoreClassifier("http://127.0.0.1:1", "cancer", token="not-for-display")
    for shown in (repr(classifier), classifier._repr_html_(), repr(Pipeline([("model", classifier)])), repr(classifier.get_params())):
        assert "not-for-display" not in shown
    assert clone(classifier).token == "not-for-display"


def test_a_server_that_is_away_is_named_and_not_a_missing_method(cancer: SimpleNamespace) -> None:
    classifier = BlindscoreClassifier("http://127.0.0.1:1", "cancer", key="memory", max_wait=1)
    with pytest.raises(blindscore.ConnectionError, match="127.0.0.1:1"):
        classifier.predict_proba(cancer.X)
    with pytest.raises(blindscore.ConnectionError):
        hasattr(classifier, "classes_")


def test_several_labels_at_once(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    X = random.normal(size=(300, 6))
    y = (X[:, :3] + X[:, 3:] > 0.2).astype(int)
    model = OneVsRestClassifier(LogisticRegression()).fit(X, y)
    blindscore.save(model, X, tmp_path / "labels.safetensors")
    with blindscore.LocalServer(tmp_path) as server:
        classifier = BlindscoreClassifier(server.url, "labels", key="memory").fit(X, y)
        assert (classifier.predict(X) == model.predict(X)).all()
        np.testing.assert_allclose(classifier.predict_proba(X), model.predict_proba(X), atol=1e-3)
        assert classifier.score(X, y) == model.score(X, y)
        with pytest.raises(blindscore.SettingError, match=r"the model gives 3 labels at once, so \(rows, 3\) is expected"):
            classifier.fit(X, y[:, 0])


def test_classes_with_names(tmp_path: Path, cancer: SimpleNamespace) -> None:
    y = np.where(cancer.y == 1, "benign", "malignant")
    model = clone(cancer.pipeline).fit(cancer.X, y)
    blindscore.save(model, cancer.X, tmp_path / "named.safetensors")
    with blindscore.LocalServer(tmp_path) as server:
        classifier = BlindscoreClassifier(server.url, "named", key="memory").fit(cancer.X, y)
        assert classifier.score(cancer.X, y) == model.score(cancer.X, y)
        assert get_scorer("roc_auc")(classifier, cancer.X, y) == pytest.approx(get_scorer("roc_auc")(model, cancer.X, y), abs=1e-3)
