"""scikit-learn estimators that score with a model on a server.

They don't learn: the model on the server is fitted already. They predict, so everything of
scikit-learn that takes a fitted estimator takes them: scorers and metrics, displays, pipelines,
cross-validation of what stands before them.

>>> from blindscore.sklearn import BlindscoreClassifier  # doctest: +SKIP
>>> classifier = BlindscoreClassifier("https://scores.example", "churn")  # doctest: +SKIP
>>> accuracy_score(y, classifier.predict(X))  # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from . import _tables
from ._blindscore import Model, SecretKey
from ._client import Client
from ._errors import BlindscoreError, SettingError

__all__ = ["BlindscoreClassifier", "BlindscoreRegressor"]

#: Number of labels in a message.
_SHOWN = 5


class _Secret(str):
    """Text that displays don't show: estimators print their parameters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'...'"


def _given(question: Callable[[Model], bool]) -> Callable[[_Scorer], bool]:
    """Returns whether a method is there, as :func:`available_if` asks."""

    def check(estimator: _Scorer) -> bool:
        try:
            return question(estimator._client().model)
        except BlindscoreError:
            # The call itself says what is wrong; "has no attribute" would hide it.
            return True

    return check


class _Scorer(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types.
    """What both estimators have in common."""

    #: Tasks of models that the estimator takes.
    _tasks: tuple[str, ...] = ()
    #: What to say of other models.
    _other = ""

    def __init__(
        self,
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
    ) -> None:
        self.url = url
        self.model = model
        self.token = token
        self.model_id = model_id
        self.key = key
        self.ca_cert = ca_cert
        self.timeout = timeout
        self.max_wait = max_wait
        self.in_flight = in_flight

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Returns the constructor's arguments. The token is a string that prints as ``'...'``."""
        params: dict[str, Any] = super().get_params(deep)
        if isinstance(params.get("token"), str) and not isinstance(params["token"], _Secret):
            params["token"] = _Secret(params["token"])
        return params

    def _client(self) -> Client:
        """Returns the client for the parameters, which is made when it is needed first."""
        params = super().get_params(deep=False)
        held = self.__dict__.get("_held", {})
        if held and held["params"] == params:
            client: Client = held["client"]
            return client
        client = Client(**params)
        if client.model.task not in self._tasks:
            raise SettingError(f"the model {params['model']!r} is for {client.model.task}: {self._other}")
        if held:
            # Clones go on with the client for the parameters as they were.
            held = self._held = {}
        elif "_held" not in self.__dict__:
            self._held = held
        held.update(params=params, client=client)
        return client

    @property
    def n_features_in_(self) -> int:
        """Number of columns of a row."""
        return self._client().n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray[Any, Any]:
        """Names of the columns ``(columns,)``, if they have names."""
        return self._client().feature_names_in_

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_clone__(self) -> _Scorer:
        # A secret key is not copied as other parameters are, and clones, such as one for each fold
        # of a cross-validation, need no key and no connection of their own. So they share the place
        # where the first of them puts its client.
        clone = type(self)(**self.get_params(deep=False))
        clone._held = self.__dict__.setdefault("_held", {})
        for name in vars(self).keys() & {"_metadata_request"}:
            setattr(clone, name, getattr(self, name))
        return clone

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_held"}

    def _get_fitted_attr_html(self, doc_link: str = "") -> Any:
        # scikit-learn would ask the server for them, and wait for one that is away, only to
        # display.
        return {}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.target_tags.required = False
        tags.input_tags.sparse = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def _checked(self, X: Any, y: Any) -> Client:
        """Returns the client, if its model takes these columns, and ``y`` has as many rows."""
        client = self._client()
        table = _tables.table(X, client.model)
        if y is not None:
            check_consistent_length(np.empty(table.rows), y)
        return client


class BlindscoreClassifier(ClassifierMixin, _Scorer):  # type: ignore[misc]  # scikit-learn has no types.
    """Classifies rows with a model on a server, which sees neither the rows nor the answers.

    It predicts without ``fit``. All arguments are those of :class:`blindscore.Client`, which is
    made when it is needed first. Give ``url`` and ``model``, or set ``BLINDSCORE_URL`` and
    ``BLINDSCORE_MODEL``. A clone uses the connection and the key of its original; a pickle or a
    process of joblib makes its own, with ``key="memory"`` its own key as well. Pickles contain the
    token.

    Args:
        url: Address of the server.
        model: Name of a model for classification, or for several labels at once.
        token: Token to send. It is not shown where the estimator is.
        model_id: Accept only the model with this id.
        key: Where the secret key is kept: ``None`` (a file in the user's data directory),
            ``"memory"``, a path, or a :class:`blindscore.SecretKey`.
        ca_cert: PEM file with certificates of authorities to trust in addition.
        timeout: Seconds for one try of a request; ``$BLINDSCORE_TIMEOUT`` or 60 if not given.
        max_wait: Seconds for a request with all its retries; ``$BLINDSCORE_MAX_WAIT`` or 600.
        in_flight: Number of requests at the same time.

    Attributes:
        classes_: Classes ``(classes,)``; for several labels at once their names ``(labels,)``.
        n_features_in_: Number of columns of a row.
        feature_names_in_: Names of the columns ``(columns,)``, if they have names. Frames may have
            them in another order, and others beside them.

    Example:
        >>> classifier = BlindscoreClassifier("https://scores.example", "churn")  # doctest: +SKIP
        >>> CalibrationDisplay.from_estimator(classifier, X, y)  # doctest: +SKIP
    """

    _tasks = ("classification", "multilabel")
    _other = "use BlindscoreRegressor"

    @property
    def classes_(self) -> np.ndarray[Any, Any]:
        """Classes ``(classes,)``; for several labels at once their names ``(labels,)``."""
        client = self._client()
        return client.outputs_ if client.model.task == "multilabel" else client.classes_

    def fit(self, X: Any, y: Any = None) -> BlindscoreClassifier:
        """Checks that the server has the model, and that the model takes these columns and knows
        these classes. It learns nothing, and sends no row.

        Args:
            X: Rows ``(rows, columns)``, as :meth:`predict` takes them.
            y: Classes ``(rows,)`` or labels ``(rows, labels)``; ``None`` checks nothing about them.

        Raises:
            SettingError: ``X`` has other columns than the model, or ``y`` has classes that the
                model doesn't know and won't learn.
            ValueError: ``y`` has another number of rows, or holds no classes.
        """
        client = self._checked(X, y)
        if y is None:
            return self
        check_classification_targets(y)
        if client.model.task == "multilabel":
            found, wanted = np.asarray(y), len(client.outputs_)
            if found.ndim != 2 or found.shape[1] != wanted:
                raise SettingError(f"y has the shape {found.shape}; the model gives {wanted} labels at once, so (rows, {wanted}) is expected")
            return self
        known = set(client.classes_.tolist())
        unknown = sorted({repr(label) for label in column_or_1d(y, warn=True).tolist() if label not in known})
        if unknown:
            shown = ", ".join(unknown[:_SHOWN]) + (" and others" if len(unknown) > _SHOWN else "")
            classes = ", ".join(map(repr, client.classes_[:_SHOWN].tolist())) + (" and others" if len(known) > _SHOWN else "")
            raise SettingError(f"y has the classes {shown}, which the model doesn't know; it has {classes}, and learns no others")
        return self

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Returns classes ``(rows,)``, or for several labels at once ones and zeros ``(rows,
        labels)``.

        Args:
            X: Rows ``(rows, columns)`` in any form that :meth:`blindscore.Client.predict` takes.

        Raises:
            RowError: Rows can't be scored, so none was sent.
            SettingError: ``X`` has other columns than the model.
            ServerError, ConnectionError: The server can't score.
        """
        client = self._client()
        multilabel = client.model.task == "multilabel"
        return np.asarray(client.predict(X), dtype=np.int64 if multilabel else client.classes_.dtype)

    @available_if(_given(lambda model: model.n_probabilities > 0))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:
        """Returns probabilities ``(rows, classes)`` or ``(rows, labels)``. It is there if the model
        gives them.

        Arguments and exceptions are those of :meth:`predict`.
        """
        return np.asarray(self._client().predict_proba(X), dtype=np.float64)

    @available_if(_given(lambda model: model.scores_decide))  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> np.ndarray[Any, Any]:
        """Returns the scores that the decision is made from: ``(rows,)`` for two classes, where a
        score above 0 decides for the second, else ``(rows, classes)`` or ``(rows, labels)``. It is
        there if the model decides by them.

        Arguments and exceptions are those of :meth:`predict`.
        """
        client = self._client()
        scores = np.asarray(client.decision_function(X), dtype=np.float64)
        if client.model.task == "classification" and scores.ndim == 2 and scores.shape[1] == 2:
            # A model with a score for each of two classes.
            return scores[:, 1] - scores[:, 0]
        return scores

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        tags.target_tags.multi_output = True
        return tags


class BlindscoreRegressor(RegressorMixin, _Scorer):  # type: ignore[misc]  # scikit-learn has no types.
    """Predicts values with a model on a server, which sees neither the rows nor the answers.

    It predicts without ``fit``. All arguments are those of :class:`blindscore.Client`, which is
    made when it is needed first. Give ``url`` and ``model``, or set ``BLINDSCORE_URL`` and
    ``BLINDSCORE_MODEL``. A clone uses the connection and the key of its original; a pickle or a
    process of joblib makes its own, with ``key="memory"`` its own key as well. Pickles contain the
    token.

    Args:
        url: Address of the server.
        model: Name of a model for regression.
        token: Token to send. It is not shown where the estimator is.
        model_id: Accept only the model with this id.
        key: Where the secret key is kept: ``None`` (a file in the user's data directory),
            ``"memory"``, a path, or a :class:`blindscore.SecretKey`.
        ca_cert: PEM file with certificates of authorities to trust in addition.
        timeout: Seconds for one try of a request; ``$BLINDSCORE_TIMEOUT`` or 60 if not given.
        max_wait: Seconds for a request with all its retries; ``$BLINDSCORE_MAX_WAIT`` or 600.
        in_flight: Number of requests at the same time.

    Attributes:
        n_features_in_: Number of columns of a row.
        feature_names_in_: Names of the columns ``(columns,)``, if they have names. Frames may have
            them in another order, and others beside them.

    Example:
        >>> regressor = BlindscoreRegressor("https://scores.example", "prices")  # doctest: +SKIP
        >>> regressor.score(X, y)  # doctest: +SKIP
    """

    _tasks = ("regression",)
    _other = "use BlindscoreClassifier"

    def fit(self, X: Any, y: Any = None) -> BlindscoreRegressor:
        """Checks that the server has the model, and that the model takes these columns and gives as
        many values. It learns nothing, and sends no row.

        Args:
            X: Rows ``(rows, columns)``, as :meth:`predict` takes them.
            y: Values ``(rows,)`` or ``(rows, targets)``; ``None`` checks nothing about them.

        Raises:
            SettingError: ``X`` has other columns than the model, or ``y`` has other targets.
            ValueError: ``y`` has another number of rows, or values that are missing or infinite.
        """
        client = self._checked(X, y)
        if y is not None:
            found, wanted = check_array(y, ensure_2d=False, input_name="y"), len(client.outputs_)
            if found.ndim not in (1, 2) or (1 if found.ndim == 1 else found.shape[1]) != wanted:
                raise SettingError(f"y has the shape {found.shape}, and the model gives {wanted} value{'s' * (wanted != 1)} for each row")
        return self

    def predict(self, X: Any) -> np.ndarray[Any, Any]:
        """Returns values ``(rows,)``, or ``(rows, targets)`` of a model with several.

        Args:
            X: Rows ``(rows, columns)`` in any form that :meth:`blindscore.Client.predict` takes.

        Raises:
            RowError: Rows can't be scored, so none was sent.
            SettingError: ``X`` has other columns than the model.
            ServerError, ConnectionError: The server can't score.
        """
        return np.asarray(self._client().predict(X), dtype=np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
