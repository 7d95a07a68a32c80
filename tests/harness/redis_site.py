"""One Redis that is reached in every way that a URL can describe: TCP, Unix socket, ACL user, TLS, Sentinel."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

import trustme
from redis import Redis

from stack import redis
from stack.free_ports import free_ports
from stack.redis import RedisServer
from webhookd.settings import Settings

GUIDE: Final = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "postgres-and-redis.md"

PREFIX: Final = "webhookd:"
"""The default prefix, which the rule in the guide has too."""

PASSWORD: Final = "a b@c/d:e?f#g%h"
SENTINEL_PASSWORD: Final = "the-sentinels-password"
SENTINEL_USER: Final = "watcher"
RIGHTS: Final = "+ping +sentinel|masters"
"""The rights of a Sentinel's user, as in the guide."""
QUOTED: Final = "a%20b%40c%2Fd%3Ae%3Ff%23g%25h"
PRIMARY: Final = "main"

KINDS: Final = ("tcp", "socket", "acl", "tls", "sentinel", "sentinel-tls")


MORE_USERS: Final = {"reader": ["~*", "+@read", "+ping"], "writer": ["~*", "+@all"]}
"""Users without the right to write, and without a channel."""


class Certificates:
    """An authority, a certificate for the server and its clients, and an authority that signed neither; PEM files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.authority = folder / "authority.pem"
        self.server = folder / "server.pem"
        self.client = folder / "client.pem"
        self.foreign = folder / "foreign.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(self.server))
        authority.issue_cert("webhookd").private_key_and_cert_chain_pem.write_to_path(str(self.client))
        trustme.CA().cert_pem.write_to_path(str(self.foreign))

    def options(self, port: int) -> dict[str, str | int | Path]:
        """Settings of a server that asks clients for a certificate on this port."""
        return {
            "tls-port": port,
            "tls-cert-file": self.server,
            "tls-key-file": self.server,
            "tls-ca-cert-file": self.authority,
            "tls-auth-clients": "yes",
            "tls-replication": "yes",
        }


class RedisSite:
    """A context with the server and two Sentinels that watch it, one of them over TLS only."""

    def __init__(self, folder: Path) -> None:
        self.certificates = Certificates(folder)
        self._socket = folder / "redis.sock"
        self.port, self.tls_port, *self._sentinel_ports = free_ports(4)
        plain, encrypted = self._sentinel_ports
        more = {"unixsocket": self._socket, **self.certificates.options(self.tls_port)}
        lines = [f"{name} {value}" for name, value in self.certificates.options(encrypted).items()]
        self.server = redis.start(folder, self.port, more)
        self.sentinels = [
            _sentinel(folder / "plain", plain, self.port, [f"user {SENTINEL_USER} on >{SENTINEL_PASSWORD} {RIGHTS}"]),
            _sentinel(folder / "encrypted", 0, self.tls_port, lines),
        ]

    def __enter__(self) -> Self:
        """Wait until all answer, and create the user of the guide."""
        self.server.wait_ready()
        with self.admin() as client:
            client.execute_command("ACL", "SETUSER", *rule_of_the_guide())
            for user, rights in MORE_USERS.items():
                client.execute_command("ACL", "SETUSER", user, "on", f">{PASSWORD}", "resetchannels", *rights)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all of them."""
        for server in (*self.sentinels, self.server):
            server.stop()

    def admin(self) -> Redis:
        """A client with all rights."""
        return Redis.from_url(self.server.address, decode_responses=True)

    @contextmanager
    def replica(self) -> Iterator[None]:
        """Make the server a replica of nothing, which accepts no writes."""
        with self.admin() as admin:
            admin.replicaof("127.0.0.1", 1)
            try:
                yield
            finally:
                admin.replicaof("NO", "ONE")

    def url(self, kind: str) -> str:
        """The URL of a kind of connection."""
        login = f"webhookd:{QUOTED}@"
        plain, encrypted = (f"127.0.0.1:{port}" for port in self._sentinel_ports)
        sentinels = f"?master={PRIMARY}&sentinel_password={SENTINEL_PASSWORD}"
        user = f"&sentinel_username={SENTINEL_USER}"
        return {
            "tcp": self.server.address,
            "socket": f"unix://{self._socket}?db=0",
            "acl": f"redis://{login}127.0.0.1:{self.port}/0",
            "tls": f"rediss://{login}127.0.0.1:{self.tls_port}/0",
            "sentinel": f"sentinel://{login}127.0.0.1:1,{plain}/0{sentinels}{user}",
            "sentinel-tls": f"sentinel://{encrypted}/0{sentinels}&ssl=true",
        }[kind]

    def settings(self, kind: str, **more: object) -> Settings:
        """The settings of a kind of connection."""
        files: dict[str, object] = {}
        if kind.endswith("tls"):
            files = {
                "redis_ca_file": self.certificates.authority,
                "redis_client_cert_file": self.certificates.client,
            }
        return Settings.model_validate({"redis_url": self.url(kind), "redis_key_prefix": PREFIX, **files, **more})


def rule_of_the_guide() -> list[str]:
    """The user of docs/how-to/postgres-and-redis.md, with the password of these tests."""
    lines = GUIDE.read_text(encoding="utf-8").splitlines()
    (rule,) = (line for line in lines if line.startswith("user webhookd on "))
    return [f">{PASSWORD}" if part.startswith(">") else part for part in rule.split()[1:]]


def _sentinel(folder: Path, port: int, primary_port: int, more: list[str]) -> RedisServer:
    folder.mkdir()
    lines = [*more, f"sentinel monitor {PRIMARY} 127.0.0.1 {primary_port} 1", f"requirepass {SENTINEL_PASSWORD}"]
    return redis.start_sentinel(folder, port, lines)
