"""A server on this machine ends with the program that started it."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import blindscore
server = blindscore.LocalServer()
def uses_it():
    return server
print(server._process.pid)
"""


@pytest.mark.parametrize("end", ["", "raise SystemExit(3)", "raise RuntimeError", "raise KeyboardInterrupt"])
def test_a_server_that_nobody_closes_ends_with_python(end: str) -> None:
    run = subprocess.run([sys.executable, "-c", SCRIPT + end], capture_output=True, text=True, timeout=60, check=False)
    with pytest.raises(ProcessLookupError):
        os.kill(int(run.stdout), 0)


def test_a_fork_that_ends_leaves_the_server_running() -> None:
    fork = """
child = os.fork()
if child == 0:
    raise SystemExit
os.waitpid(child, 0)
assert os.path.isdir(server._data)
blindscore.Client(server.url, "mnist-linear", key="memory").ensure_key()
server.close()
assert not os.path.exists(server._data)
"""
    run = subprocess.run([sys.executable, "-c", "import os" + SCRIPT + fork], capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
