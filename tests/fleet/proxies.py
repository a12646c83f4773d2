"""The proxies of `deploy/`, started on this machine with another address and certificate."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

from processes import FleetError, await_port, free_port

_NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/errors warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  include {folder}/site.conf;
}}
"""


def _replaced(text: str, pattern: str, by: str) -> str:
    """Replaces what a pattern matches. A file that no longer has it is not the one tested."""
    text, count = re.subn(pattern, lambda _: by, text, flags=re.MULTILINE)
    if not count:
        raise FleetError(f"the configuration has nothing like {pattern}")
    return text


class Proxy:
    """A proxy in front of servers, which it is told again by `apply`."""

    #: Seconds after which a proxy that was told to reload has done so.
    reload = 1.5

    def __init__(self, source: Path, folder: Path) -> None:
        self.source, self.folder, self.port = source.read_text(), folder, free_port()
        folder.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def apply(self, ports: list[int], affinity: bool = True) -> None:
        """Puts the proxy in front of servers on these ports, which it picks by key or at random."""
        self.write(ports, affinity)
        if self.process:
            self.process.send_signal(self.signal)
            time.sleep(self.reload)
            if self.process.poll() is not None:
                raise FleetError("the proxy ended")
        else:
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)
            await_port(self.port, self.process, self.folder / "log")
            time.sleep(self.reload)


class Nginx(Proxy):
    """deploy/nginx.conf"""

    signal = signal.SIGHUP

    def command(self) -> list[str]:
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]

    def write(self, ports: list[int], affinity: bool) -> None:
        servers = "".join(f"  server 127.0.0.1:{port} max_fails=1 fail_timeout=5s;\n" for port in ports)
        site = _replaced(self.source, r"(^  server \S+ max_fails=1 fail_timeout=5s;\n)+", servers)
        site = _replaced(site, r"listen 443 ssl http2;", f"listen 127.0.0.1:{self.port};")
        site = _replaced(site, r"^  ssl_certificate.*\n", "")
        if not affinity:
            site = _replaced(site, r"hash \$blindscore_key consistent;", "random;")
        (self.folder / "site.conf").write_text(site)
        user = "user root;" if os.geteuid() == 0 else ""
        (self.folder / "nginx.conf").write_text(_NGINX.format(folder=self.folder, user=user))


class Haproxy(Proxy):
    """deploy/haproxy.cfg"""

    signal = signal.SIGUSR2

    def command(self) -> list[str]:
        return ["haproxy", "-W", "-f", str(self.folder / "haproxy.cfg")]

    def write(self, ports: list[int], affinity: bool) -> None:
        servers = "".join(f"  server blindscore-{place} 127.0.0.1:{port}\n" for place, port in enumerate(ports))
        text = _replaced(self.source, r"(^  server \S+ \S+\n?)+", servers)
        text = _replaced(text, r"bind :443 .*", f"bind 127.0.0.1:{self.port}")
        if not affinity:
            text = _replaced(text, r"balance hdr\(Blindscore-Key\)", "balance random")
            text = _replaced(text, r"^  hash-type consistent\n", "")
        (self.folder / "haproxy.cfg").write_text(text)


PROXIES = {
    "nginx": (Nginx, "nginx.conf"),
    "haproxy": (Haproxy, "haproxy.cfg"),
}
