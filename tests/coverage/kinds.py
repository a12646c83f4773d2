"""Kinds of scikit-learn models, each fitted on a small table, converted with skl2onnx and imported.

    kinds.py BLINDSCORE [--only TEXT] [--table FILE [--write]]

Each kind is converted twice: from float32 arrays, and from data frames with names and float64
columns. It is served, refused with a message, or not converted by skl2onnx. "Served" means that
`blindscore import` compared the model with the pipeline's own predictions on every row (`--expect`)
and found no difference beyond the stated error.

Exits with 1 if any kind is wrong (the import found that model and original differ), or if the
outcomes are not those of the table.
"""

import argparse
import difflib
import json
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (
    calibration,
    compose,
    cross_decomposition,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    gaussian_process,
    impute,
    isotonic,
    kernel_approximation,
    kernel_ridge,
    linear_model,
    multiclass,
    multioutput,
    naive_bayes,
    neighbors,
    neural_network,
    preprocessing,
    random_projection,
    semi_supervised,
    svm,
    tree,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

warnings.filterwarnings("ignore")
ROWS, SEED = 400, 7
#: Kinds that skl2onnx doesn't convert and the Python package does, as its own tests show.
SAVED = {"SplineTransformer", "HashingVectorizer"}


class Tables:
    """The same people as numbers, with gaps, with categories, and as texts."""

    def __init__(self) -> None:
        random = np.random.default_rng(SEED)
        age = random.integers(18, 90, ROWS).astype(float)
        income = np.round(random.lognormal(10, 0.8, ROWS), 2)
        debt = np.round(random.beta(2, 5, ROWS), 4)
        visits = random.poisson(3, ROWS).astype(float)
        signal = (age - 54) / 20 - (np.log(income) - 10) + 4 * debt + 0.3 * visits - 2 + random.normal(0, 0.7, ROWS)
        self.numbers = pd.DataFrame({"age": age, "income": income, "debt ratio": debt, "visits": visits})
        self.binary = (signal > 0).astype(np.int64)
        self.three = np.array(["low", "mid", "high"])[np.digitize(signal, [-1, 1])]
        self.four = np.digitize(signal, [-1, 0, 1])
        self.value = np.round(signal, 4)
        self.positive = np.exp(signal / 2)
        self.labels = np.c_[signal > 0, signal > 1, age > 50].astype(np.int64)
        self.values = np.c_[signal, age / 10 - debt]
        self.gaps = self.numbers.mask(random.random((ROWS, 4)) < 0.1)
        self.some = self.gaps.fillna({"age": 40})
        self.none = self.gaps.assign(visits=np.nan)
        self.smooth = self.numbers[["income"]].assign(distance=random.normal(0, 5, ROWS))
        self.categories = pd.DataFrame(
            {
                "job": random.choice(["clerk", "nurse", "Bäcker", "n/a"], ROWS),
                "town": random.choice(["Ulm", "Bonn", "Kiel"], ROWS),
            }
        )
        # As people have them: missing and empty categories, tenths, words of other scripts.
        self.absent = pd.DataFrame({"job": random.choice(np.array(["clerk", "nurse", None], dtype=object), ROWS)})
        self.empty = pd.DataFrame({"job": random.choice(["clerk", "nurse", ""], ROWS)})
        self.jobs = pd.DataFrame({"job": random.choice(["clerk", "nurse", "Bäcker"], ROWS)})
        self.tenths = pd.DataFrame({"price": np.round(random.gamma(2, 0.4, ROWS), 1), "share": np.round(random.beta(2, 5, ROWS), 1)})
        self.codes = pd.DataFrame(random.integers(0, 4, (ROWS, 4)), columns=["a", "b", "c", "d"])
        words = np.array(["good", "bad", "great", "awful", "quick", "slow", "never", "again", "polite", "rude", "price", "fair"])
        chosen = random.integers(0, len(words), (ROWS, 6))
        self.texts = np.array([" ".join(words[row]) for row in chosen])
        scripts = np.array(["कमल", "कमला", "कमली", "बात", "größe", "GRÖSSE", "مَدرسة", "مدرسة", "x²", "don't"])
        self.scripts = np.array([" ".join(row) for row in scripts[random.integers(0, len(scripts), (ROWS, 4))]])
        self.tone = (np.isin(chosen, [0, 2, 4, 8, 11]).sum(axis=1) > 2).astype(np.int64)


T = Tables()
NUMBERS, GAPS, CODES, BINARY, THREE, VALUE = "numbers", "gaps", "codes", "binary", "three", "value"


def scaled(model):
    return make_pipeline(StandardScaler(), model)


def before(step, model=None):
    """A pipeline of a step and a linear model."""
    return make_pipeline(StandardScaler(), step, model or LogisticRegression(C=0.5))


def classifier(model, target=BINARY, table=NUMBERS):
    return (scaled(model), table, target)


def raw(model, target=BINARY, table=NUMBERS):
    return (make_pipeline(model), table, target)


def regressor(model, target=VALUE, table=NUMBERS):
    return (scaled(model), table, target)


def vote(voting, weights=None, more=False):
    """Several classifiers, in the only form that skl2onnx converts."""
    models = [("a", LogisticRegression()), ("b", discriminant_analysis.LinearDiscriminantAnalysis())]
    if more:
        models += [("c", LogisticRegression(C=0.001)), ("d", linear_model.RidgeClassifier(1000))]
    return ensemble.VotingClassifier(models, voting=voting, weights=weights, flatten_transform=False)


def step(transformer, target=BINARY, table=NUMBERS):
    return (before(transformer), table, target)


def first(transformer, target=BINARY, table=NUMBERS):
    return (make_pipeline(transformer, LogisticRegression(C=0.5, max_iter=1000)), table, target)


def text(vectorizer):
    return (make_pipeline(vectorizer, LogisticRegression()), "texts", "tone")


def columns(transformer, names):
    return compose.ColumnTransformer([("numbers", StandardScaler(), list(T.numbers)), ("categories", transformer, names)])


def mixed(transformer):
    return (make_pipeline(columns(transformer, ["job", "town"]), LogisticRegression()), "mixed", BINARY)


LINEAR = {
    "LinearRegression": regressor(linear_model.LinearRegression()),
    "Ridge": regressor(linear_model.Ridge()),
    "RidgeCV": regressor(linear_model.RidgeCV()),
    "Lasso": regressor(linear_model.Lasso(0.01)),
    "LassoCV": regressor(linear_model.LassoCV()),
    "LassoLars": regressor(linear_model.LassoLars(0.001)),
    "LassoLarsCV": regressor(linear_model.LassoLarsCV()),
    "LassoLarsIC": regressor(linear_model.LassoLarsIC()),
    "Lars": regressor(linear_model.Lars()),
    "LarsCV": regressor(linear_model.LarsCV()),
    "ElasticNet": regressor(linear_model.ElasticNet(0.01)),
    "ElasticNetCV": regressor(linear_model.ElasticNetCV()),
    "MultiTaskLasso": regressor(linear_model.MultiTaskLasso(0.01), "values"),
    "MultiTaskLassoCV": regressor(linear_model.MultiTaskLassoCV(), "values"),
    "MultiTaskElasticNet": regressor(linear_model.MultiTaskElasticNet(0.01), "values"),
    "MultiTaskElasticNetCV": regressor(linear_model.MultiTaskElasticNetCV(), "values"),
    "BayesianRidge": regressor(linear_model.BayesianRidge()),
    "ARDRegression": regressor(linear_model.ARDRegression()),
    "HuberRegressor": regressor(linear_model.HuberRegressor()),
    "TheilSenRegressor": regressor(linear_model.TheilSenRegressor(random_state=0)),
    "RANSACRegressor": regressor(linear_model.RANSACRegressor(random_state=0)),
    "QuantileRegressor": regressor(linear_model.QuantileRegressor(alpha=0.01)),
    "OrthogonalMatchingPursuit": regressor(linear_model.OrthogonalMatchingPursuit()),
    "OrthogonalMatchingPursuitCV": regressor(linear_model.OrthogonalMatchingPursuitCV()),
    "PassiveAggressiveRegressor": regressor(linear_model.PassiveAggressiveRegressor(random_state=0)),
    "SGDRegressor": regressor(linear_model.SGDRegressor(random_state=0)),
    "PoissonRegressor": regressor(linear_model.PoissonRegressor(), "positive"),
    "GammaRegressor": regressor(linear_model.GammaRegressor(), "positive"),
    "TweedieRegressor": regressor(linear_model.TweedieRegressor(power=1.5), "positive"),
    "TransformedTargetRegressor": (
        compose.TransformedTargetRegressor(scaled(Ridge()), func=np.log, inverse_func=np.exp),
        NUMBERS,
        "positive",
    ),
    "LinearSVR": regressor(svm.LinearSVR()),
    "SVR (linear)": regressor(svm.SVR(kernel="linear")),
    "NuSVR (linear)": regressor(svm.NuSVR(kernel="linear")),
    "PLSRegression": regressor(cross_decomposition.PLSRegression(2)),
    "DummyRegressor": regressor(dummy.DummyRegressor()),
    "LogisticRegression": classifier(LogisticRegression()),
    "LogisticRegression (three)": classifier(LogisticRegression(), THREE),
    "LogisticRegressionCV": classifier(linear_model.LogisticRegressionCV(Cs=3)),
    "RidgeClassifier": classifier(linear_model.RidgeClassifier()),
    "RidgeClassifier (labels)": classifier(linear_model.RidgeClassifier(), "labels"),
    "RidgeClassifierCV": classifier(linear_model.RidgeClassifierCV()),
    "SGDClassifier (hinge)": classifier(linear_model.SGDClassifier(random_state=0)),
    "SGDClassifier (log loss)": classifier(linear_model.SGDClassifier(loss="log_loss", random_state=0)),
    "SGDClassifier (three)": classifier(linear_model.SGDClassifier(loss="log_loss", random_state=0), THREE),
    "SGDClassifier (modified Huber)": classifier(linear_model.SGDClassifier(loss="modified_huber", random_state=0)),
    "SGDClassifier (modified Huber, three)": classifier(linear_model.SGDClassifier(loss="modified_huber", random_state=0), THREE),
    "Perceptron": classifier(linear_model.Perceptron(random_state=0)),
    "PassiveAggressiveClassifier": classifier(linear_model.PassiveAggressiveClassifier(random_state=0)),
    "LinearSVC": classifier(svm.LinearSVC()),
    "LinearSVC (three)": classifier(svm.LinearSVC(), THREE),
    "SVC (linear)": classifier(svm.SVC(kernel="linear")),
    "NuSVC (linear)": classifier(svm.NuSVC(kernel="linear")),
    "SVC (linear, three)": classifier(svm.SVC(kernel="linear"), THREE),
    "SVC (linear, four)": classifier(svm.SVC(kernel="linear"), "four"),
    "SVC (linear, no step before)": raw(svm.SVC(kernel="linear", C=0.1), BINARY, CODES),
    "SVC (linear, not scaled)": raw(svm.SVC(kernel="linear", C=0.01)),
    "SVC (linear, scores of pairs)": classifier(svm.SVC(kernel="linear", decision_function_shape="ovo"), "four"),
    "SVC (linear, probabilities)": classifier(svm.SVC(kernel="linear", probability=True), THREE),
    "LinearDiscriminantAnalysis": classifier(discriminant_analysis.LinearDiscriminantAnalysis()),
    "LinearDiscriminantAnalysis (three)": classifier(discriminant_analysis.LinearDiscriminantAnalysis(), THREE),
    "QuadraticDiscriminantAnalysis": classifier(discriminant_analysis.QuadraticDiscriminantAnalysis()),
    "DummyClassifier": classifier(dummy.DummyClassifier()),
    "SGDOneClassSVM": classifier(linear_model.SGDOneClassSVM(random_state=0)),
    "GaussianNB": raw(naive_bayes.GaussianNB(), THREE),
    "MultinomialNB": raw(naive_bayes.MultinomialNB(), BINARY, CODES),
    "ComplementNB": raw(naive_bayes.ComplementNB(), BINARY, CODES),
    "BernoulliNB": raw(naive_bayes.BernoulliNB(binarize=1.0), BINARY, CODES),
    "CategoricalNB": raw(naive_bayes.CategoricalNB(), BINARY, CODES),
    "NearestCentroid": classifier(neighbors.NearestCentroid(), THREE),
}
META = {
    "OneVsRestClassifier": classifier(multiclass.OneVsRestClassifier(LogisticRegression()), THREE),
    "OneVsRestClassifier (labels)": classifier(multiclass.OneVsRestClassifier(LogisticRegression()), "labels"),
    "OneVsRestClassifier (LinearSVC)": classifier(multiclass.OneVsRestClassifier(svm.LinearSVC()), THREE),
    "OneVsRestClassifier (LinearSVC, labels)": classifier(multiclass.OneVsRestClassifier(svm.LinearSVC()), "labels"),
    "OneVsOneClassifier": classifier(multiclass.OneVsOneClassifier(LogisticRegression()), THREE),
    "OneVsOneClassifier (two)": classifier(multiclass.OneVsOneClassifier(LogisticRegression())),
    "OneVsOneClassifier (LinearSVC)": classifier(multiclass.OneVsOneClassifier(svm.LinearSVC()), "four"),
    "OutputCodeClassifier": classifier(multiclass.OutputCodeClassifier(LogisticRegression(), random_state=0), THREE),
    "MultiOutputRegressor": regressor(multioutput.MultiOutputRegressor(Ridge()), "values"),
    "MultiOutputClassifier": classifier(multioutput.MultiOutputClassifier(LogisticRegression()), "labels"),
    "RegressorChain": regressor(multioutput.RegressorChain(Ridge()), "values"),
    "ClassifierChain": classifier(multioutput.ClassifierChain(LogisticRegression()), "labels"),
    "VotingRegressor": regressor(ensemble.VotingRegressor([("a", Ridge()), ("b", linear_model.LinearRegression())])),
    "VotingClassifier (soft)": classifier(vote("soft")),
    "VotingClassifier (soft, three)": classifier(vote("soft", weights=np.array([2, 1])), THREE),
    "VotingClassifier (hard)": classifier(vote("hard")),
    "VotingClassifier (hard, three)": classifier(vote("hard", weights=np.array([1, 2])), THREE),
    "VotingClassifier (hard, of averages)": classifier(
        ensemble.VotingClassifier([("a", LogisticRegression()), ("b", ensemble.BaggingClassifier(LogisticRegression()))], flatten_transform=False)
    ),
    "VotingClassifier (ties)": classifier(vote("hard", weights=np.array([1, 5, 2, 2]), more=True), THREE),
    "VotingClassifier (default)": classifier(ensemble.VotingClassifier([("a", LogisticRegression()), ("b", LogisticRegression(C=0.01))])),
    "BaggingRegressor": regressor(ensemble.BaggingRegressor(Ridge(), random_state=0)),
    "BaggingClassifier": classifier(ensemble.BaggingClassifier(LogisticRegression(), random_state=0)),
    "BaggingClassifier (three)": classifier(ensemble.BaggingClassifier(LogisticRegression(), random_state=0, max_features=2), THREE),
    "BaggingClassifier (votes)": classifier(ensemble.BaggingClassifier(svm.LinearSVC(), random_state=0)),
    "BaggingClassifier (votes, three)": classifier(ensemble.BaggingClassifier(svm.LinearSVC(), random_state=0), THREE),
    "StackingRegressor": regressor(ensemble.StackingRegressor([("a", Ridge()), ("b", linear_model.Lasso(0.01))], Ridge())),
    "StackingClassifier": classifier(ensemble.StackingClassifier([("a", svm.LinearSVC()), ("b", LogisticRegression())], LogisticRegression())),
    "CalibratedClassifierCV (one model)": classifier(calibration.CalibratedClassifierCV(svm.LinearSVC(), ensemble=False)),
    "CalibratedClassifierCV (sigmoid)": classifier(calibration.CalibratedClassifierCV(svm.LinearSVC())),
    "CalibratedClassifierCV (SVC)": classifier(calibration.CalibratedClassifierCV(svm.SVC(kernel="linear"))),
    "CalibratedClassifierCV (SVC, three)": classifier(calibration.CalibratedClassifierCV(svm.SVC(kernel="linear")), THREE),
    "CalibratedClassifierCV (three)": classifier(calibration.CalibratedClassifierCV(LogisticRegression()), THREE),
    "CalibratedClassifierCV (isotonic)": classifier(calibration.CalibratedClassifierCV(svm.LinearSVC(), method="isotonic", ensemble=False)),
    "CalibratedClassifierCV (isotonic, several)": classifier(calibration.CalibratedClassifierCV(LogisticRegression(), method="isotonic")),
    "CalibratedClassifierCV (isotonic, three)": classifier(calibration.CalibratedClassifierCV(svm.LinearSVC(), method="isotonic"), THREE),
    "CalibratedClassifierCV (pipeline)": raw(calibration.CalibratedClassifierCV(scaled(LogisticRegression()))),
    "CalibratedClassifierCV (GaussianNB)": classifier(calibration.CalibratedClassifierCV(naive_bayes.GaussianNB())),
    "GridSearchCV": classifier(GridSearchCV(LogisticRegression(), {"C": [0.1, 1]})),
    "SelfTrainingClassifier": classifier(semi_supervised.SelfTrainingClassifier(LogisticRegression())),
}
STEPS = {
    "StandardScaler": first(preprocessing.StandardScaler()),
    "MinMaxScaler": first(preprocessing.MinMaxScaler()),
    "MaxAbsScaler": first(preprocessing.MaxAbsScaler()),
    "RobustScaler": first(preprocessing.RobustScaler()),
    "Normalizer": step(preprocessing.Normalizer()),
    "Normalizer (L1)": step(preprocessing.Normalizer("l1")),
    "Normalizer (max)": step(preprocessing.Normalizer("max")),
    "Binarizer": step(preprocessing.Binarizer(threshold=0.3)),
    "KBinsDiscretizer": first(preprocessing.KBinsDiscretizer(5, encode="onehot-dense")),
    "KBinsDiscretizer (ordinal)": first(preprocessing.KBinsDiscretizer(5, encode="ordinal")),
    "PolynomialFeatures": step(preprocessing.PolynomialFeatures(2)),
    "PolynomialFeatures (interactions)": step(preprocessing.PolynomialFeatures(3, interaction_only=True)),
    "SplineTransformer": step(preprocessing.SplineTransformer(n_knots=4)),
    "PowerTransformer": first(preprocessing.PowerTransformer()),
    "PowerTransformer (not standardized)": first(preprocessing.PowerTransformer(standardize=False)),
    "PowerTransformer (Box-Cox)": (
        make_pipeline(preprocessing.MinMaxScaler((1, 2)), preprocessing.PowerTransformer("box-cox"), LogisticRegression()),
        NUMBERS,
        BINARY,
    ),
    "QuantileTransformer": first(preprocessing.QuantileTransformer(n_quantiles=50)),
    "QuantileTransformer (no ties)": first(preprocessing.QuantileTransformer(n_quantiles=50), BINARY, "smooth"),
    "QuantileTransformer (gaps)": (
        make_pipeline(impute.SimpleImputer(), preprocessing.QuantileTransformer(n_quantiles=50), LogisticRegression()),
        GAPS,
        BINARY,
    ),
    "QuantileTransformer (normal)": first(preprocessing.QuantileTransformer(n_quantiles=50, output_distribution="normal")),
    "FunctionTransformer": first(preprocessing.FunctionTransformer(np.log1p)),
    "FunctionTransformer (none)": step(preprocessing.FunctionTransformer()),
    "SimpleImputer": (make_pipeline(impute.SimpleImputer(), StandardScaler(), LogisticRegression()), GAPS, BINARY),
    "SimpleImputer (indicator)": first(impute.SimpleImputer(add_indicator=True), BINARY, GAPS),
    "SimpleImputer (indicator, scaled)": (
        make_pipeline(impute.SimpleImputer(add_indicator=True), StandardScaler(), LogisticRegression()),
        GAPS,
        BINARY,
    ),
    "SimpleImputer (indicator of some)": first(impute.SimpleImputer(add_indicator=True), BINARY, "some"),
    "SimpleImputer (no value)": first(impute.SimpleImputer(), BINARY, "none"),
    "MissingIndicator": (
        make_pipeline(make_union(impute.SimpleImputer(), impute.MissingIndicator()), StandardScaler(), LogisticRegression()),
        GAPS,
        BINARY,
    ),
    "KNNImputer": (make_pipeline(impute.KNNImputer(), StandardScaler(), LogisticRegression()), GAPS, BINARY),
    "OneHotEncoder": mixed(preprocessing.OneHotEncoder(handle_unknown="ignore")),
    "OneHotEncoder (first dropped)": mixed(preprocessing.OneHotEncoder(drop="first")),
    "OneHotEncoder (min_frequency)": mixed(preprocessing.OneHotEncoder(min_frequency=105)),
    "OneHotEncoder (max_categories)": mixed(preprocessing.OneHotEncoder(max_categories=2, handle_unknown="infrequent_if_exist")),
    "OrdinalEncoder": mixed(preprocessing.OrdinalEncoder()),
    "TargetEncoder": mixed(preprocessing.TargetEncoder(random_state=0)),
    "OneHotEncoder (missing)": first(preprocessing.OneHotEncoder(handle_unknown="ignore"), BINARY, "absent"),
    "OneHotEncoder (empty)": first(preprocessing.OneHotEncoder(handle_unknown="ignore"), BINARY, "empty"),
    "TargetEncoder (missing)": first(preprocessing.TargetEncoder(random_state=0), BINARY, "absent"),
    "TargetEncoder (missing numbers)": first(preprocessing.TargetEncoder(random_state=0), BINARY, "gaps"),
    "KBinsDiscretizer (tenths)": first(preprocessing.KBinsDiscretizer(4, encode="ordinal"), BINARY, "tenths"),
    "KBinsDiscretizer, Binarizer (tenths)": first(
        make_union(preprocessing.KBinsDiscretizer(4, encode="ordinal"), preprocessing.Binarizer(threshold=0.3)), BINARY, "tenths"
    ),
    "PolynomialFeatures (gaps)": (
        make_pipeline(impute.SimpleImputer(), preprocessing.PolynomialFeatures(2), StandardScaler(), LogisticRegression()),
        GAPS,
        BINARY,
    ),
    "PolynomialFeatures (categories)": (
        make_pipeline(
            preprocessing.OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            preprocessing.PolynomialFeatures(2),
            LogisticRegression(),
        ),
        "jobs",
        BINARY,
    ),
    "OneHotEncoder (codes)": first(preprocessing.OneHotEncoder(handle_unknown="ignore"), BINARY, CODES),
    "OrdinalEncoder (codes)": first(preprocessing.OrdinalEncoder(), BINARY, CODES),
    "PCA": step(decomposition.PCA(3)),
    "PCA, KBinsDiscretizer": step(make_pipeline(decomposition.PCA(2), preprocessing.KBinsDiscretizer(4, encode="onehot-dense"))),
    "PCA (whitened)": step(decomposition.PCA(3, whiten=True)),
    "IncrementalPCA": step(decomposition.IncrementalPCA(3)),
    "TruncatedSVD": step(decomposition.TruncatedSVD(3)),
    "FactorAnalysis": step(decomposition.FactorAnalysis(2)),
    "FastICA": step(decomposition.FastICA(3, random_state=0)),
    "SparsePCA": step(decomposition.SparsePCA(3, random_state=0)),
    "NMF": first(decomposition.NMF(2, random_state=0, max_iter=500), BINARY, CODES),
    "KernelPCA": step(decomposition.KernelPCA(3, kernel="rbf")),
    "LatentDirichletAllocation": first(decomposition.LatentDirichletAllocation(2, random_state=0), BINARY, CODES),
    "GaussianRandomProjection": step(random_projection.GaussianRandomProjection(3, random_state=0)),
    "SparseRandomProjection": step(random_projection.SparseRandomProjection(3, random_state=0)),
    "NeighborhoodComponentsAnalysis": step(neighbors.NeighborhoodComponentsAnalysis(3, random_state=0)),
    "SelectKBest": step(feature_selection.SelectKBest(k=2)),
    "SelectKBest (first)": step(feature_selection.SelectKBest(k=1)),
    "SelectPercentile": step(feature_selection.SelectPercentile(percentile=50)),
    "SelectFpr": step(feature_selection.SelectFpr()),
    "SelectFdr": step(feature_selection.SelectFdr()),
    "SelectFwe": step(feature_selection.SelectFwe()),
    "GenericUnivariateSelect": step(feature_selection.GenericUnivariateSelect(mode="k_best", param=2)),
    "SelectFromModel": step(feature_selection.SelectFromModel(LogisticRegression())),
    "RFE": step(feature_selection.RFE(LogisticRegression(), n_features_to_select=2)),
    "RFECV": step(feature_selection.RFECV(LogisticRegression(), min_features_to_select=2)),
    "SequentialFeatureSelector": step(feature_selection.SequentialFeatureSelector(LogisticRegression(), n_features_to_select=2)),
    "VarianceThreshold": step(feature_selection.VarianceThreshold()),
    "FeatureUnion": step(make_union(decomposition.PCA(2), preprocessing.PolynomialFeatures(2, include_bias=False))),
    "ColumnTransformer": mixed(preprocessing.OneHotEncoder()),
    "Nystroem": step(kernel_approximation.Nystroem(n_components=5, random_state=0)),
    "RBFSampler": step(kernel_approximation.RBFSampler(n_components=5, random_state=0)),
    "AdditiveChi2Sampler": first(kernel_approximation.AdditiveChi2Sampler(), BINARY, CODES),
    "CountVectorizer": text(feature_extraction.text.CountVectorizer()),
    "CountVectorizer (pairs)": text(feature_extraction.text.CountVectorizer(ngram_range=(1, 2))),
    "CountVectorizer (pairs, stop words)": text(feature_extraction.text.CountVectorizer(ngram_range=(1, 2), stop_words=["again", "never"])),
    "CountVectorizer (stop words)": text(feature_extraction.text.CountVectorizer(stop_words=["again", "never"])),
    "CountVectorizer (other scripts)": (make_pipeline(feature_extraction.text.CountVectorizer(), LogisticRegression()), "scripts", BINARY),
    "CountVectorizer (binary)": text(feature_extraction.text.CountVectorizer(binary=True)),
    "CountVectorizer (characters)": text(feature_extraction.text.CountVectorizer(analyzer="char", ngram_range=(1, 2))),
    "TfidfVectorizer": text(feature_extraction.text.TfidfVectorizer()),
    "TfidfVectorizer (sublinear)": text(feature_extraction.text.TfidfVectorizer(sublinear_tf=True)),
    "TfidfTransformer": (
        make_pipeline(feature_extraction.text.CountVectorizer(), feature_extraction.text.TfidfTransformer(), LogisticRegression()),
        "texts",
        "tone",
    ),
    "HashingVectorizer": text(feature_extraction.text.HashingVectorizer(n_features=64)),
    "TfidfVectorizer, TruncatedSVD": (
        make_pipeline(feature_extraction.text.TfidfVectorizer(), decomposition.TruncatedSVD(5, random_state=0), LogisticRegression()),
        "texts",
        "tone",
    ),
}
OTHERS = {
    "MLPClassifier": classifier(neural_network.MLPClassifier((8,), random_state=0, max_iter=300)),
    "MLPRegressor": regressor(neural_network.MLPRegressor(hidden_layer_sizes=(8,), random_state=0, max_iter=300)),
    "KNeighborsClassifier": classifier(neighbors.KNeighborsClassifier()),
    "KNeighborsRegressor": regressor(neighbors.KNeighborsRegressor()),
    "RadiusNeighborsClassifier": classifier(neighbors.RadiusNeighborsClassifier(5.0)),
    "RadiusNeighborsRegressor": regressor(neighbors.RadiusNeighborsRegressor(5.0)),
    "SVC (rbf)": classifier(svm.SVC()),
    "SVR (rbf)": regressor(svm.SVR()),
    "OneClassSVM": classifier(svm.OneClassSVM()),
    "KernelRidge": regressor(kernel_ridge.KernelRidge()),
    "GaussianProcessClassifier": classifier(gaussian_process.GaussianProcessClassifier()),
    "GaussianProcessRegressor": regressor(gaussian_process.GaussianProcessRegressor()),
    "DecisionTreeClassifier": classifier(tree.DecisionTreeClassifier(max_depth=3)),
    "DecisionTreeRegressor": regressor(tree.DecisionTreeRegressor(max_depth=3)),
    "RandomForestClassifier": classifier(ensemble.RandomForestClassifier(5, max_depth=3)),
    "RandomForestRegressor": regressor(ensemble.RandomForestRegressor(5, max_depth=3)),
    "ExtraTreesClassifier": classifier(ensemble.ExtraTreesClassifier(5, max_depth=3)),
    "ExtraTreesRegressor": regressor(ensemble.ExtraTreesRegressor(5, max_depth=3)),
    "GradientBoostingClassifier": classifier(ensemble.GradientBoostingClassifier(n_estimators=10)),
    "GradientBoostingClassifier (depth 1)": classifier(ensemble.GradientBoostingClassifier(n_estimators=20, max_depth=1)),
    "GradientBoostingClassifier (leaves)": classifier(ensemble.GradientBoostingClassifier(n_estimators=50, max_depth=1, min_impurity_decrease=0.02)),
    "GradientBoostingRegressor": regressor(ensemble.GradientBoostingRegressor(n_estimators=10)),
    "GradientBoostingRegressor (depth 1)": regressor(ensemble.GradientBoostingRegressor(n_estimators=20, max_depth=1)),
    "HistGradientBoostingClassifier": classifier(ensemble.HistGradientBoostingClassifier(max_iter=10)),
    "HistGradientBoostingRegressor": regressor(ensemble.HistGradientBoostingRegressor(max_iter=10)),
    "AdaBoostClassifier": classifier(ensemble.AdaBoostClassifier(n_estimators=5)),
    "AdaBoostRegressor": regressor(ensemble.AdaBoostRegressor(n_estimators=5)),
    "IsolationForest": classifier(ensemble.IsolationForest(n_estimators=5, random_state=0)),
    "IsotonicRegression": (isotonic.IsotonicRegression(), "one", VALUE),
}
KINDS = LINEAR | META | STEPS | OTHERS


def table_of(name: str) -> pd.DataFrame:
    match name:
        case "mixed":
            return pd.concat([T.numbers, T.categories], axis=1)
        case "texts":
            return pd.DataFrame({"text": T.texts})
        case "scripts":
            return pd.DataFrame({"text": T.scripts})
        case "one":
            return T.numbers[["age"]]
        case _:
            return getattr(T, name)


def prepared(table: str, frames: bool):
    """The table as the pipeline takes it, and the types of its columns for the converter."""
    frame = table_of(table)
    if table in ("texts", "scripts"):
        return frame, frame["text"], [("text", StringTensorType([None]))]
    if table in ("mixed", "absent", "empty", "jobs") or frames:
        if not frames:
            numbers = frame.select_dtypes("number").columns
            frame = frame.astype(dict.fromkeys(numbers, np.float32))
        kinds = {"f": FloatTensorType if not frames else DoubleTensorType, "i": Int64TensorType}
        types = [(name, kinds.get(kind.kind, StringTensorType)([None, 1])) for name, kind in frame.dtypes.items()]
        return frame, frame, types
    if table == CODES:
        values = frame.to_numpy(np.int64)
        return frame, values, [("X", Int64TensorType([None, values.shape[1]]))]
    values = frame.to_numpy(np.float32)
    return frame.astype(np.float32), values, [("X", FloatTensorType([None, values.shape[1]]))]


def expected(model, data) -> pd.DataFrame:
    predicted = np.asarray(model.predict(data))
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        return pd.DataFrame({"predicted": [json.dumps(row.tolist()) for row in predicted]})
    found = {"predicted": predicted.ravel()}
    if hasattr(model, "predict_proba"):
        shares = model.predict_proba(data)
        found |= {f"proba_{label}": share for label, share in zip(model.classes_, shares.T, strict=True)}
    return pd.DataFrame(found)


def judge(name: str, blindscore: str, frames: bool, folder: Path) -> tuple[str, str]:
    """Returns `served`, `refused`, `not converted` or `WRONG`, and a message."""
    model, table, target = KINDS[name]
    frame, data, types = prepared(table, frames)
    # Estimators without a random state of their own draw from this one.
    np.random.seed(SEED)  # noqa: NPY002
    try:
        model.fit(data, getattr(T, target))
        last = model.steps[-1][1] if hasattr(model, "steps") else model
        options = {id(model): {"zipmap": True}} if hasattr(model, "predict_proba") else None
        if isinstance(last, svm.LinearSVC):
            options = {id(last): {"raw_scores": True}}
        onnx = to_onnx(model, initial_types=types, options=options)
        answers = expected(model, data)
    except Exception as error:  # whatever the converter can't do
        return "not converted", f"{type(error).__name__}: {error}".splitlines()[0]
    (folder / "model.onnx").write_bytes(onnx.SerializeToString())
    frame.to_csv(folder / "rows.csv", index=False)
    answers.to_csv(folder / "expected.csv", index=False)
    command = [blindscore, "import", folder / "model.onnx", "--name", "kind", "--models-dir", folder / "models"]
    command += ["--calibrate", folder / "rows.csv", "--json"]
    # An import must not need the pipeline's own answers to find out that the model is another one.
    alone = subprocess.run(command, capture_output=True, text=True, timeout=300)
    compared = subprocess.run([*command, "--expect", folder / "expected.csv"], capture_output=True, text=True, timeout=300)
    if compared.returncode == 0:
        report = json.loads(compared.stdout)
        if report["expected_rows"] != len(frame):
            return "WRONG", f"{report['expected_rows']} rows compared"
        return "served", "; ".join(report["mended"])
    refusal = alone if alone.returncode else compared
    message = " ".join(refusal.stderr.split()).split(" Supported are ")[0]
    message = message.removeprefix(f"error: importing {folder}/model.onnx: ").replace(str(folder), "")
    wrong = alone.returncode == 0 or "please report" in message
    return ("WRONG" if wrong else "refused"), message


def outcome(task: tuple[str, str, bool]) -> tuple[str, str]:
    name, blindscore, frames = task
    with tempfile.TemporaryDirectory() as folder:
        return judge(name, blindscore, frames, Path(folder))


def written(found: dict[str, list[tuple[str, str]]]) -> str:
    """The table of kinds, in Markdown."""
    counts = [sum(kind == "served" for kind, _ in column) for column in zip(*found.values(), strict=True)]
    lines = [
        "# Kinds of scikit-learn models",
        "",
        "Written by `tests/coverage/kinds.py`, which fits each kind on a small table, converts it with skl2onnx 1.20 and imports",
        "it. **Served** means that all rows were answered as the pipeline answers them: the same decisions, and probabilities",
        "and values up to the stated error. Arrays are of single precision; frames have named columns of double precision.",
        "",
        f"Of {len(found)} kinds, {counts[0]} are served from arrays and {counts[1]} from frames.",
        "",
        "| kind | from arrays | from frames | |",
        "|---|---|---|---|",
    ]
    for name, outcomes in found.items():
        words = [message for kind, message in outcomes if message]
        text = words[0].replace("|", "\\|") if words else ""
        if outcomes[0][0] == "not converted":
            text = "skl2onnx doesn't convert it"
            if name in SAVED:
                text += "; `blindscore.save` does, and serves it"
        kinds = ["**served**" if kind == "served" else kind for kind, _ in outcomes]
        lines.append(f"| {name} | {kinds[0]} | {kinds[1]} | {text[:400]} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("blindscore")
    arguments.add_argument("--only", default="", help="kinds whose names contain this")
    arguments.add_argument("--table", type=Path, help="table to compare with")
    arguments.add_argument("--write", action="store_true", help="write the table instead")
    arguments = arguments.parse_args()
    names = [name for name in KINDS if arguments.only in name]
    tasks = [(name, arguments.blindscore, frames) for name in names for frames in (False, True)]
    with ProcessPoolExecutor() as pool:
        outcomes = list(pool.map(outcome, tasks))
    found = {name: outcomes[2 * place : 2 * place + 2] for place, name in enumerate(names)}
    for name, both in found.items():
        for way, (kind, message) in zip(("arrays", "frames"), both, strict=True):
            print(f"{kind:14} {name} ({way}): {message[:300]}", flush=True)
    counts = Counter(kind for both in found.values() for kind, _ in both)
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()), f"of {2 * len(found)}")
    if arguments.table and arguments.write:
        arguments.table.write_text(written(found))
    elif arguments.table and arguments.table.read_text() != written(found):
        changed = difflib.unified_diff(arguments.table.read_text().splitlines(), written(found).splitlines(), lineterm="", n=0)
        print("The table of kinds has changed; --write writes it anew:", *changed, sep="\n")
        return 1
    return int("WRONG" in counts)


if __name__ == "__main__":
    sys.exit(main())
