"""The examples of the documentation, run as a reader would: one after the other, in one folder."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: What the README's example takes for granted.
YOURS = """
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

X_train, y = load_breast_cancer(return_X_y=True, as_frame=True)
X_test = X_train.tail()
pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(X_train, y)
"""


PAGES = ["docs/python.md", "docs/trees.md", "docs/networks.md", "docs/labels.md", "client-python/README.md"]


@pytest.mark.parametrize(("page", "yours"), [*((page, "") for page in PAGES), ("README.md", YOURS)])
def test_examples_run(page, yours, tmp_path):
    examples = re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    assert examples
    for example in examples:
        program = tmp_path / "example.py"
        program.write_text(yours + example)
        ran = subprocess.run([sys.executable, program], cwd=tmp_path, env={"HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, example + ran.stderr
        for expected in re.findall(r"print\(.*\)  # (.*)$", example, re.MULTILINE):
            if not expected.startswith(("a ", "an ")):
                assert expected in ran.stdout
