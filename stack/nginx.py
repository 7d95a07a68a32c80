"""nginx as a receiver that responds 200 at once, so that it is never the bottleneck, and as a TLS proxy for another."""

import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from stack import install
from stack.child import Child, spawn
from stack.waiting import until_ready

READY_TIMEOUT_S = 10.0

CONFIGURATION = """\
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    ssl_certificate {directory}/certificate.pem;
    ssl_certificate_key {directory}/key.pem;
    ssl_session_cache shared:tls:1m;
    server {{
        listen 127.0.0.1:{http_port} backlog=4096;
        listen 127.0.0.1:{https_port} ssl backlog=4096;
        location / {{ return 200; }}
        location = /status {{ stub_status; }}
        location ~ ^/pass/(?<port>[0-9]+)/ {{ proxy_pass http://127.0.0.1:$port; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxServer:
    """A started nginx, with a self-signed certificate for localhost and 127.0.0.1."""

    http_port: int
    https_port: int
    certificate: Path
    child: Child

    @property
    def address(self) -> str:
        """Its URL without TLS."""
        return f"http://127.0.0.1:{self.http_port}/"

    @property
    def https_url(self) -> str:
        """Its URL with TLS; verify it with `certificate`."""
        return f"https://127.0.0.1:{self.https_port}/"

    def pass_url(self, port: int) -> str:
        """The TLS URL that it passes on to a server on a port of this machine."""
        return f"{self.https_url}pass/{port}/"

    @property
    def status_url(self) -> str:
        """The URL of its request count; a request to this URL counts too."""
        return f"{self.address}status"

    def wait_ready(self) -> None:
        """Block until it accepts connections on both ports."""
        until_ready("nginx", self._answers, [self.child], READY_TIMEOUT_S)

    def stop(self) -> None:
        """Stop it with its workers."""
        self.child.stop()

    def _answers(self) -> bool:
        try:
            for port in (self.http_port, self.https_port):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return True


def start(directory: Path, http_port: int, https_port: int) -> NginxServer:
    """Start an nginx; does not wait for it."""
    nginx = install.require(install.NGINX)
    certificate = _make_certificate(directory)
    configuration = directory / "nginx.conf"
    configuration.write_text(
        CONFIGURATION.format(directory=directory, http_port=http_port, https_port=https_port), encoding="utf-8"
    )
    child = spawn(
        [nginx, "-p", directory, "-e", directory / "nginx.log", "-c", configuration],
        log_file=directory / "nginx.out",
        parent_death_signal=signal.SIGTERM,  # the master ends its worker; a killed master would leave it running
    )
    return NginxServer(http_port=http_port, https_port=https_port, certificate=certificate, child=child)


def _make_certificate(directory: Path) -> Path:
    openssl = install.require(install.OPENSSL)
    certificate = directory / "certificate.pem"
    key: list[str | Path] = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-keyout",
        directory / "key.pem",
    ]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command: list[str | Path] = [openssl, "req", "-x509", "-days", "2", *key, *subject, "-out", certificate]
    spawn(command, log_file=directory / "openssl.log").must_succeed("nginx's certificate")
    return certificate
