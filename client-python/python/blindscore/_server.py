"""A server on this machine, for notebooks, tests and trying things out."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections import deque
from pathlib import Path
from typing import Any

from ._errors import BlindscoreError, SettingError

#: Line with which the server says that it is ready.
_READY = "listening on "
#: Number of lines of the log that are kept for messages.
_KEPT = 30


class LocalServer:
    """Runs ``blindscore-server`` with the models of a folder, until it is closed.

    Args:
        models_dir: Folder with model files, as :func:`blindscore.save` writes them. ``None``: only
            the bundled models (``mnist-linear``, ``mnist-net`` and others).
        port: Port on 127.0.0.1; 0 for a free one.
        options: More options of ``blindscore-server serve``, for instance ``["--threads", "1"]``.

    Attributes:
        url: Address of the server.

    Raises:
        BlindscoreError: The server doesn't start; its log is in the message.

    Example:
        >>> with blindscore.LocalServer("models") as server:  # doctest: +SKIP
        ...     client = blindscore.Client(server.url, model="churn")
    """

    def __init__(self, models_dir: str | os.PathLike[str] | None = None, *, port: int = 0, options: list[str] | None = None) -> None:
        command = [str(server_program()), "serve", "--bind", f"127.0.0.1:{port}"]
        if models_dir is not None:
            folder = Path(models_dir)
            if not folder.is_dir():
                raise SettingError(f"models_dir: there is no folder {str(folder)!r}")
            command += ["--models-dir", str(folder)]
        # Not a TemporaryDirectory, which a fork of this process would delete at its end.
        self._data = tempfile.mkdtemp(prefix="blindscore-")
        command += ["--data-dir", self._data]
        # Variables of a client in the same shell are none of the server's options.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BLINDSCORE_")}
        self._process = subprocess.Popen([*command, *(options or [])], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self._owner = os.getpid()
        # A script may end without closing it, and then `__del__` is not sure to run.
        atexit.register(_close, weakref.ref(self))
        self._log: deque[str] = deque(maxlen=_KEPT)
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        self.url: str = self._wait()

    def _read_log(self) -> None:
        # A pipe that nobody reads would stop the server.
        if self._process.stderr is not None:
            for line in self._process.stderr:
                self._log.append(line.rstrip())

    def _wait(self) -> str:
        for line in self._process.stdout or ():
            if line.startswith(_READY):
                return line.removeprefix(_READY).strip()
        self._process.wait()
        self._reader.join(5)
        shutil.rmtree(self._data, ignore_errors=True)
        raise BlindscoreError("the server doesn't start:\n" + "\n".join(self._log))

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "running" if self._process.poll() is None else "closed"
        return f"<blindscore.LocalServer at {self.url}, {state}>"

    def __del__(self) -> None:
        process = getattr(self, "_process", None)
        if process is not None and process.poll() is None:
            self.close()

    @property
    def log(self) -> list[str]:
        """The last lines of the server's log."""
        return list(self._log)

    def close(self) -> None:
        """Ends the server and deletes the keys that it stored; not in a fork of this process."""
        if os.getpid() != self._owner:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(self._data, ignore_errors=True)


def _close(server: weakref.ref[LocalServer]) -> None:
    running = server()
    if running is not None:
        running.close()


def server_program() -> Path:
    """Returns the path of ``blindscore-server``: ``$BLINDSCORE_SERVER``, the one in this package,
    or the one in ``PATH``.
    """
    named = os.environ.get("BLINDSCORE_SERVER")
    if named:
        if not Path(named).is_file():
            raise SettingError(f"BLINDSCORE_SERVER: there is no file {named!r}")
        return Path(named)
    name = "blindscore-server.exe" if sys.platform == "win32" else "blindscore-server"
    bundled = Path(__file__).parent / "bin" / name
    if bundled.exists():
        return bundled
    found = shutil.which(name)
    if found is None:
        # What pip builds from the sources has only the client: maturin doesn't build the server.
        raise SettingError(
            "this package was built from its sources, without a server inside, and PATH has no blindscore-server. Install a wheel, which has "
            "one; or build it in the repository, `cargo build --release -p blindscore-server`, and let the variable BLINDSCORE_SERVER name "
            "target/release/blindscore-server"
        )
    return Path(found)
