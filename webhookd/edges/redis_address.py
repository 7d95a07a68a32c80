"""Where Redis is, and how to connect and log in: the one description from which redis-py, kombu and Celery connect."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

Kind = Literal["memory", "redis", "rediss", "unix", "sentinel"]

MEMORY: Final = "memory"
TCP: Final = "redis"
TLS: Final = "rediss"
SOCKET: Final = "unix"
SENTINEL: Final = "sentinel"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user and its password. Without a user, Redis takes the password for that of its user `default`."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def parameters(self) -> dict[str, str | None]:
        """Return the login as parameters of a redis-py connection."""
        return {"username": self.user, "password": self.password}


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTls:
    """Which certificates are trusted, which one is shown, and what is verified.

    The authorities in `ca_file` are trusted in addition to the system's. Without `key_file`, `cert_file` has the key.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    verify_certificate: bool = True
    verify_host_name: bool = True

    def parameters(self) -> dict[str, Any]:
        """Return this as parameters of a redis-py connection."""
        files = {"ssl_ca_certs": self.ca_file, "ssl_certfile": self.cert_file, "ssl_keyfile": self.key_file}
        return {
            "ssl_cert_reqs": "required" if self.verify_certificate else "none",
            "ssl_check_hostname": self.verify_certificate and self.verify_host_name,
            **{name: str(file) for name, file in files.items() if file is not None},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """One Redis; or the primary of the servers that Sentinels watch as `primary_name`, with the Sentinels as `hosts`.

    Its text is a URL without passwords, and so is what `celery inspect` and Flower show of it.
    """

    kind: Kind
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    login: Login = Login()
    primary_name: str = ""
    sentinel_login: Login = Login()
    tls: RedisTls | None = None

    @property
    def embedded(self) -> bool:
        """Whether there is no Redis: everything is kept in the memory of this process."""
        return self.kind == MEMORY

    def parameters(self) -> dict[str, Any]:
        """Return everything but the timeouts as parameters of a redis-py connection; of Sentinel's without a host."""
        place: dict[str, Any] = {}
        if self.kind == SOCKET:
            place = {"path": self.path}
        elif self.kind != SENTINEL:
            place = dict(zip(("host", "port"), self.hosts[0], strict=True))
        return {**place, "db": self.db, **self.login.parameters(), **self.tls_parameters()}

    def tls_parameters(self) -> dict[str, Any]:
        """Return TLS as parameters of a redis-py connection; empty without TLS."""
        return self.tls.parameters() if self.tls is not None else {}

    def __str__(self) -> str:
        """Return the URL without passwords and files."""
        user = f"{quote(self.login.user, safe='')}@" if self.login.user else ""
        match self.kind:
            case "memory":
                return f"{MEMORY}://"
            case "unix":
                return f"{SOCKET}://{user}{quote(self.path)}?db={self.db}"
            case "sentinel":
                return f"{SENTINEL}://{user}{self._places()}/{self.db}?master={quote(self.primary_name, safe='')}"
            case _:
                return f"{self.kind}://{user}{self._places()}/{self.db}"

    def __json__(self) -> str:
        """Return what kombu's JSON contains of this: `celery inspect stats` sends it to Flower."""
        return str(self)

    def _places(self) -> str:
        return ",".join(host_and_port(host, port) for host, port in self.hosts)


def host_and_port(host: str, port: int) -> str:
    """Return `host:port`, with an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
