"""The comparison with other systems, as far as it goes without their environments."""

import dataclasses
import json
import sys
from pathlib import Path
from xml.etree import ElementTree as xml

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_breast_cancer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benches"))

from peers import plots, record, table  # noqa: E402
from peers.rounds import measure  # noqa: E402
from peers.tasks import Task, Work  # noqa: E402

DOCS = ROOT / "docs"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def published() -> record.Results:
    return record.Results.load(DOCS / "compare" / "results.json")


def test_the_page_shows_the_results_that_are_published(published: record.Results, tmp_path: Path) -> None:
    page = (DOCS / "comparison.md").read_text()
    assert table.insert(page, table.markdown(published)) == page
    plots.write(published, tmp_path)
    for name in ("accuracy.svg", "bytes.svg"):
        assert (tmp_path / name).read_text() == (DOCS / "compare" / name).read_text()


def test_results_are_read_as_they_were_written(published: record.Results, tmp_path: Path) -> None:
    published.save(tmp_path / "results.json")
    assert record.Results.load(tmp_path / "results.json") == published
    other = {**json.loads((tmp_path / "results.json").read_text()), "format": 0}
    (tmp_path / "results.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="format 0"):
        record.Results.load(tmp_path / "results.json")


def test_trees_are_measured_and_missing_systems_say_why(tmp_path: Path) -> None:
    rows, classes = load_breast_cancer(return_X_y=True)
    settings = {"n_estimators": 4, "max_depth": 2}
    model = xgboost.XGBClassifier(**settings).fit(rows, classes)
    model.save_model(tmp_path / "model.json")
    test, right = rows[:12], classes[:12]
    work = Work(tmp_path, rows, classes, test, [], settings)
    work.save()
    task = Task("trees", "Few trees", work, model.predict_proba(test).astype(float), right)
    # This environment has no TenSEAL: its process ends with an error.
    pythons = {"blindscore": sys.executable, "tenseal": sys.executable}
    ours, failed, absent = measure(task, pythons, {"openfhe": "no Python for it"}, 2, 0.1, tmp_path)
    assert ours.cannot is None and ours.facts is not None and ours.agreement is not None
    assert (ours.agreement.rows, ours.agreement.same, ours.agreement.how) == (12, 12, "encrypted")
    assert ours.agreement.difference < 0.02
    assert ours.agreement.right == (model.predict(test) == right).sum()
    assert len(ours.rounds) == 2 and ours.tried_same == ours.tried >= 2
    assert ours.facts.key_bytes > 1_000_000 > ours.facts.response_bytes > ours.facts.query_bytes > 0
    assert failed.cannot is not None and "No module named 'tenseal'" in failed.cannot
    assert absent.cannot == "not installed: no Python for it"


def test_refused_rows_are_counted_apart() -> None:
    expected = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]
    found = [[0.8, 0.2], None, [0.7, 0.3]]
    compared = record.agreement("encrypted", found, expected, [0, 1, 0])
    assert (compared.rows, compared.refused, compared.same, compared.right) == (2, 1, 1, 2)
    assert compared.difference == pytest.approx(0.3)


def test_units_suit_the_numbers() -> None:
    assert [table.seconds(value) for value in (31.97, 1.0, 0.999, 0.0005, 0.0995)] == ["32.0 s", "1.00 s", "999 ms", "500 us", "99.5 ms"]
    assert [table.size(value) for value in (64, 999, 19_812, 12_496_196, 1_057_062_912)] == ["64 B", "999 B", "19.8 kB", "12.5 MB", "1.06 GB"]
    with pytest.raises(ValueError, match="no lines"):
        table.insert("a page without its lines", "")


@pytest.mark.parametrize("times", [[1e-3, 1.1e-3, 1.2e-3, 1.3e-3], [1e-4, 1e-2, 1.0, 100.0]])
def test_labels_stay_apart_and_inside(published: record.Results, times: list[float], tmp_path: Path) -> None:
    task = published.tasks[0]
    measured = next(found for found in published.of(task.name) if found.agreement)
    records = [
        dataclasses.replace(measured, system=system, rounds=[record.Round(1, seconds, seconds, seconds)], batch=None)
        for system, seconds in zip(table.NAMES, times, strict=True)
    ]
    plots.write(dataclasses.replace(published, tasks=[task], records=records), tmp_path)
    root = xml.parse(tmp_path / "accuracy.svg").getroot()
    assert root.find(f"{SVG}title").text and root.find(f"{SVG}desc").text
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text
    labels = [text for text in root.iter(f"{SVG}text") if text.get("class") in table.NAMES]
    assert len(labels) == len(records)
    boxes = [(float(text.get("x")), float(text.get("y")), plots.width(text.text)) for text in labels]
    assert all(x >= 0 and x + width <= plots.WIDTH for x, _, width in boxes)
    for place, (x, y, width) in enumerate(boxes):
        for other_x, other_y, other_width in boxes[:place]:
            assert x + width <= other_x or other_x + other_width <= x or abs(y - other_y) >= plots.LINE


def test_work_is_read_as_it_was_written(tmp_path: Path) -> None:
    work = Work(tmp_path, np.ones((2, 3)), np.array([0, 1]), np.zeros((1, 3)), [(np.ones((3, 2)), np.zeros(2))], {"model": "m"})
    work.save()
    again = Work.load(tmp_path)
    assert again.settings == work.settings and len(again.layers) == 1
    assert all((a == b).all() for a, b in zip(again.layers[0], work.layers[0], strict=True))
