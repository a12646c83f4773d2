"""Which program a local server is."""

from pathlib import Path

import pytest

import blindscore
from blindscore import _server


@pytest.fixture
def without_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation without the server inside, as pip builds it, and a ``PATH`` without one."""
    monkeypatch.setattr(_server, "__file__", str(tmp_path / "blindscore" / "_server.py"))
    monkeypatch.setenv("PATH", str(tmp_path / "programs"))
    return tmp_path


def test_a_build_without_a_server_says_what_to_do(without_server: Path) -> None:
    with pytest.raises(blindscore.SettingError, match="without a server inside.* Install a wheel.*`cargo build .* BLINDSCORE_SERVER"):
        blindscore.LocalServer()


def test_a_server_in_the_path_or_named_by_the_variable_is_taken(without_server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = without_server / "programs" / "blindscore-server"
    program.parent.mkdir()
    program.touch(0o755)
    assert _server.server_program() == program
    other = without_server / "other"
    other.touch()
    monkeypatch.setenv("BLINDSCORE_SERVER", str(other))
    assert _server.server_program() == other
    monkeypatch.setenv("BLINDSCORE_SERVER", str(without_server / "gone"))
    with pytest.raises(blindscore.SettingError, match="BLINDSCORE_SERVER: there is no file '.*gone'"):
        blindscore.LocalServer()
