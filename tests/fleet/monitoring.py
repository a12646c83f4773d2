#!/usr/bin/env python3
"""Checks the alerts and the dashboard of `deploy/monitoring`.

    python3 tests/fleet/monitoring.py

Runs promtool on the configuration, the alerts and their unit tests; looks for metrics that the
server doesn't have; evaluates every query of the dashboard and fires an alert with a real
Prometheus that scrapes a real server. Needs `prometheus` and `promtool`. Exits with 1 if anything
is wrong.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from processes import FleetError, Server, await_port, free_port, stop

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/monitoring"
#: Seconds within which Prometheus has to show what it scrapes every second.
_PATIENCE = 60
_PROMETHEUS = """\
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: blindscore
    authorization:
      credentials: {token}
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


def promtool(folder: Path) -> Iterator[str]:
    """Yields what promtool refuses."""
    # Debian builds it without Kubernetes, so that part is not checked. Nor is there a token.
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    config["rule_files"] = [str(FOLDER / name) for name in config["rule_files"]]
    for scraped in config["scrape_configs"]:
        del scraped["kubernetes_sd_configs"]
    copy = folder / "checked.yaml"
    copy.write_text(yaml.safe_dump(config))
    for check in (["check", "config", "--syntax-only", copy], ["test", "rules", FOLDER / "alerts.test.yaml"]):
        found = subprocess.run(["promtool", *check], capture_output=True, text=True)
        if found.returncode != 0:
            yield f"promtool {check}: {found.stdout}{found.stderr}"


def untested() -> Iterator[str]:
    """Yields alerts that no unit test fires."""
    groups = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    tests = yaml.safe_load((FOLDER / "alerts.test.yaml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    for alert in sorted(alerts):
        fired = {bool(check.get("exp_alerts")) for check in checks if check["alertname"] == alert}
        if fired != {True, False}:
            yield f"{alert} is not tested both ways"


def queries() -> list[str]:
    """Returns the queries of the dashboard, for a Prometheus without Grafana's variables."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    texts = [target["expr"] for panel in panels for target in panel["targets"]]
    return [text.replace("$__rate_interval", "1m").replace("$job", ".+") for text in texts]


def unknown() -> Iterator[str]:
    """Yields metrics that the server doesn't have."""
    known = set(re.findall(r'"(blindscore_\w+)"', (ROOT / "server/src/telemetry.rs").read_text()))
    for name in ("alerts.yaml", "alerts.test.yaml", "dashboard.json", "adapter.yaml"):
        text = (FOLDER / name).read_text()
        for metric in sorted(set(re.findall(r"blindscore_\w+", text))):
            if re.sub(r"_(bucket|count|sum)$", "", metric) not in known and metric not in known:
                yield f"{name} has {metric}, which the server has not"


def ask(port: int, path: str, **parameters: str) -> Any:
    """Returns the data of a call of Prometheus' API."""
    address = f"http://127.0.0.1:{port}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(address) as response:
        return json.load(response)["data"]


def await_ready(port: int) -> None:
    """Waits until Prometheus answers queries: its port is open before it has opened its storage."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready"):
                return
        except urllib.error.HTTPError as error:
            if error.code != 503 or time.monotonic() > end:
                raise FleetError(f"Prometheus isn't ready: {error}") from error
        time.sleep(0.1)


def await_alert(port: int, name: str) -> bool:
    """Waits until Prometheus fires an alert."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        alerts = ask(port, "alerts")["alerts"]
        if any(alert["labels"]["alertname"] == name and alert["state"] == "firing" for alert in alerts):
            return True
        time.sleep(0.5)
    return False


def really(program: Path, folder: Path) -> Iterator[str]:
    """Yields what goes wrong when a real Prometheus watches a real server."""
    tokens, models = folder / "tokens.json", folder / "models"
    models.mkdir()
    created = subprocess.run(
        [program, "token", "create", "watch", "--monitor", "--tokens", tokens],
        check=True,
        capture_output=True,
        text=True,
    )
    token = created.stdout.strip()
    server = Server(program, folder / "server", ["--tokens", str(tokens), "--models-dir", str(models)], token)
    port, log = free_port(), folder / "prometheus.log"
    config = folder / "prometheus.yaml"
    config.write_text(_PROMETHEUS.format(rules=FOLDER / "alerts.yaml", token=token, port=server.port))
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    with log.open("wb") as output:
        prometheus = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output)
    try:
        await_port(port, prometheus, log)
        await_ready(port)
        end = time.monotonic() + _PATIENCE
        while not ask(port, "query", query='up{job="blindscore"} == 1')["result"]:
            if time.monotonic() > end:
                raise FleetError("Prometheus doesn't scrape the server")
            time.sleep(0.2)
        for query in queries():
            ask(port, "query", query=query)
        # Some are pending until the first sample.
        while any(alert["state"] == "pending" for alert in ask(port, "alerts")["alerts"]):
            if time.monotonic() > end:
                raise FleetError("an alert stays pending for a healthy server")
            time.sleep(0.2)
        if ask(port, "alerts")["alerts"]:
            yield "an alert is not silent for a healthy server"
        (models / "broken.safetensors").write_bytes(b"no model")
        if not await_alert(port, "BlindscoreModelsBroken"):
            yield "BlindscoreModelsBroken doesn't fire for a file that is no model"
    finally:
        stop(prometheus)
        stop(server.process)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", type=Path, default=ROOT / "target/release/blindscore-server")
    program = parser.parse_args().server
    with tempfile.TemporaryDirectory(prefix="blindscore-monitoring-") as folder:
        checks = [promtool(Path(folder)), untested(), unknown(), really(program, Path(folder))]
        problems = [problem for check in checks for problem in check]
    for problem in problems:
        print(problem)
    print(f"{len(queries())} queries, {len(problems)} problems")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
