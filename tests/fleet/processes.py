"""Processes of a fleet on this machine: an object store and servers that share it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

#: Seconds that a process may take to start.
_PATIENCE = 30
_BUCKET = "fleet"
#: moto wants a signature, and doesn't check it.
_SIGNED = "AWS4-HMAC-SHA256 Credential=test/20000101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=none"
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class FleetError(Exception):
    """A program did not do what the test needs."""


def free_port() -> int:
    """Returns a port of the loopback address that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until a process listens. If it ends instead, the error shows what it wrote last."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        if process.poll() is not None:
            raise FleetError(f"{process.args} ended with {process.returncode}: {log.read_text()[-1000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise FleetError(f"{process.args} does not listen after {_PATIENCE} s")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that was started here, if it still runs."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Store:
    """An object store that speaks S3 (moto), with a bucket."""

    def __init__(self, program: Path, log: Path) -> None:
        self.port = free_port()
        command = [program, "-H", "127.0.0.1", "-p", str(self.port)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output)
        await_port(self.port, self.process, log)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        connection.request("PUT", f"/{_BUCKET}")
        if connection.getresponse().status != 200:
            raise FleetError("moto_server makes no bucket")

    def flags(self) -> list[str]:
        """Returns the options of `serve` that put keys, models and counts into this store."""
        options = {
            "aws_endpoint": f"http://127.0.0.1:{self.port}",
            "aws_region": "us-east-1",
            "aws_allow_http": "true",
            "aws_access_key_id": "test",
            "aws_secret_access_key": "test-secret",
        }
        settings = ",".join(f"{name}={value}" for name, value in options.items())
        places = [("--store", "keys"), ("--models", "models"), ("--share", "counts")]
        flags = [part for flag, prefix in places for part in (flag, f"s3://{_BUCKET}/{prefix}")]
        return [*flags, "--store-options", settings]

    def counts(self) -> list[dict[str, Any]]:
        """Returns what each replica has counted, also of those that have ended."""
        listing = self._get(f"/{_BUCKET}?list-type=2&prefix=counts/").decode()
        return [json.loads(self._get(f"/{_BUCKET}/{name}")) for name in re.findall(r"<Key>([^<]+)</Key>", listing)]

    def _get(self, path: str) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        connection.request("GET", path, headers={"Authorization": _SIGNED})
        response = connection.getresponse()
        if response.status != 200:
            raise FleetError(f"{path} of the object store gets {response.status}")
        return response.read()


class Server:
    """One replica. It keeps its port when it is started again."""

    def __init__(self, program: Path, folder: Path, flags: list[str], token: str) -> None:
        self.program, self.folder, self.flags, self.token = program, folder, flags, token
        self.port = free_port()
        folder.mkdir()
        self.start()

    def start(self) -> None:
        """Starts the process and waits until it is ready."""
        command = [self.program, "serve", "--bind", f"127.0.0.1:{self.port}", "--data-dir", self.folder, *self.flags]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        await_port(self.port, self.process, self.folder / "log")
        #: Prefix of the ids that this process gives to requests.
        self.mark = self.get("/readyz")[1].split("-")[0]

    def kill(self) -> None:
        """Ends the process at once, as a node that fails does."""
        self.process.kill()
        self.process.wait()

    def drain(self) -> None:
        """Asks the process to finish its requests and end."""
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            raise FleetError(f"a server that was told to stop ended with {self.process.returncode}")

    def processor_seconds(self) -> float:
        """Returns the time of processors that the process has taken."""
        # Fields 14 and 15 of proc_pid_stat(5). The name before them may have spaces.
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def get(self, path: str) -> tuple[str, str]:
        """Returns the body of a successful response, and the request's id."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
        response = connection.getresponse()
        body = response.read().decode()
        if response.status != 200:
            raise FleetError(f"{path} of a server gets {response.status}: {body}")
        return body, response.headers["X-Request-Id"]

    def metrics(self) -> dict[str, float]:
        """Returns the metrics, those with labels as `name{labels}`."""
        samples = _SAMPLE.findall(self.get("/metrics")[0])
        return {f"{name}{{{labels}}}" if labels else name: float(value) for name, labels, value in samples}
