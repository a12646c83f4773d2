"""The tutorial as a notebook."""

import json
import time
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial.ipynb"
#: Seconds for a cell.
TIMEOUT = 300


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook, run from top to bottom in an empty folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    folder = tmp_path_factory.mktemp("notebook")
    client = nbclient.NotebookClient(notebook, timeout=TIMEOUT, resources={"metadata": {"path": str(folder)}})
    start = time.perf_counter()
    client.execute()
    print(f"notebook: {time.perf_counter() - start:.1f} s")
    assert list(folder.iterdir()) == [], "the notebook leaves files"
    return notebook


def text(run: Any, cell: str) -> str:
    """Returns what a cell has printed and displayed."""
    outputs = next(found.outputs for found in run.cells if found.id == cell)
    return "".join(output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs)


def test_answers_are_the_pipelines(run: Any) -> None:
    assert "96.00% of 450 test rows right" in text(run, "fit-code")
    assert "same decision for 97 of 97 rows" in text(run, "save-code")
    assert "a 2, with probability 0.99" in text(run, "argmax-code")
    assert "96.00% of 450 test rows right, encrypted" in text(run, "all-code")
    assert "450 rows: same decision for 450, 0 too close to call" in text(run, "compare-code")


def test_sizes_are_those_of_the_shell_tutorial(run: Any) -> None:
    assert "uploaded: 19,812 bytes" in text(run, "keys-code")
    assert "query: 484 bytes for 64 pixels" in text(run, "encrypt-code")
    assert "query sent: 484 bytes; response received: 28,288 bytes" in text(run, "call-code")
    shell = NOTEBOOK.with_suffix(".md").read_text(encoding="utf-8")
    assert all(size in shell for size in ("19,812", "484", "28,288"))


def test_draws_what_the_server_sees(run: Any) -> None:
    for cell in ("data-code", "sees-code", "tools-code"):
        outputs = next(found.outputs for found in run.cells if found.id == cell)
        assert any("image/png" in output.get("data", {}) for output in outputs), cell


def test_nothing_is_written_to_stderr(run: Any) -> None:
    noise = [output.text for cell in run.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert noise == []


def test_is_kept_without_outputs() -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_the_two_tutorials_name_each_other() -> None:
    assert "(tutorial.ipynb)" in NOTEBOOK.with_suffix(".md").read_text(encoding="utf-8")
    assert "(tutorial.md)" in NOTEBOOK.read_text(encoding="utf-8")
