"""Model files from fitted models."""

from __future__ import annotations

import html
import json
import os
import re
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._blindscore import import_model
from ._boosted import answering, column_names
from ._client import _labels
from ._errors import ImportRefused, SettingError
from ._export import export
from ._rows import Rows, as_csv, write_csv

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
        self.name: str = path.stem.split("@")[0]
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
    structure: str | None = None,
    grid: str | None = None,
    max_seconds: float | None = None,
    answer: str = "scores",
) -> Report:
    """Writes a fitted model as a model file, which a server serves.

    Whatever stands before the linear model or the trees (imputing, scaling, categories, words)
    becomes an encoding that clients run; the weights or the trees stay with the server. Before
    anything is written, the rows of ``X`` are answered by the model file and by the model itself,
    and the answers must agree: all rows, or of more than four million values a sample with each
    column's smallest and largest value. The report says how many.

    Args:
        model: Fitted scikit-learn estimator or pipeline (with the package ``skl2onnx``), model of
            XGBoost, LightGBM or CatBoost, pipeline that ends in one of XGBoost or LightGBM (with
            ``onnxmltools``, too), or PyTorch module.
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
        structure: Where the structure of trees is: ``"private"`` (the default; on the server) or
            ``"public"`` (in every client, which is faster: only what the leaves hold stays on the
            server).
        grid: Thresholds that clients know of trees with a private structure: ``"used"`` (the
            default), or ``"quantiles:N"`` to hide them among quantiles of ``X``.
        max_seconds: Longest time that a row may take here, for trees with a private structure and
            networks with hidden layers, and with ``answer="label"``.
        answer: What of the answer leaves the server: ``"scores"`` (the default), or ``"label"``,
            only which class it is, of linear models, trees and networks. The
            server compares the scores under encryption, which takes a tenth of a second or more.

    Returns:
        A report with the path of the file, its precision, and the measured agreement.

    Raises:
        ImportRefused: The kind of model isn't served, or the model file would answer differently.
            The message says what to do.
        SettingError: An argument can't be used.

    Example:
        >>> report = blindscore.save(pipeline, X, "models/churn.safetensors")  # doctest: +SKIP
    """
    folder, name = _target(path)
    if check_rows is not None and check_rows < 1:
        raise SettingError(f"check_rows: {check_rows} is not at least 1")
    rows = Rows(X)
    _check_classes(model)
    with tempfile.TemporaryDirectory(prefix="blindscore-") as scratch_:
        scratch = Path(scratch_)
        exported = export(model, rows, scratch)
        calibrate, expect = scratch / "rows.csv", None
        if rows.names is None and len(names := column_names(model) or []) == rows.width:
            rows.names = names
        rows.write(calibrate)
        answers = _answers(answering(model), rows, labels)
        if answers is not None:
            expect = scratch / "expected.csv"
            write_csv(expect, *answers)
        try:
            found, lines, details = import_model(
                exported.file,
                name,
                folder,
                title=title,
                calibrate=calibrate,
                expect=expect,
                has_header=rows.names is not None,
                labels=exported.labels if labels is None else [str(label) for label in labels],
                task=task,
                ranges=ranges,
                max_error=max_error,
                check_rows=check_rows,
                structure=structure,
                grid=grid,
                max_seconds=max_seconds,
                answer=answer,
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


def _answers(model: Any, rows: Rows, labels: Sequence[str] | None) -> tuple[list[str], list[list[Any]]] | None:
    """Returns the model's own answers as a table, if it predicts. ``labels`` rename its classes."""
    if not callable(getattr(model, "predict", None)):
        return None
    data = rows.sampled()
    predicted = np.asarray(model.predict(data))
    if predicted.ndim == 2 and predicted.shape[1] > 1:
        return ["predicted"], [[json.dumps(row)] for row in predicted.tolist()]
    header, columns = ["predicted"], [[as_csv(cell) for cell in predicted.ravel().tolist()]]
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
            header.append(f"proba_{as_csv(label)}")
            columns.append([as_csv(cell) for cell in share.tolist()])
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
