"""Redis as webhookd wants it: nothing evicted, append-only file."""

from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from stack import install
from stack.child import Child, spawn
from stack.waiting import until_ready

READY_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """A Redis that was asked to start; the address is its URL."""

    address: str
    child: Child

    def wait_ready(self) -> None:
        """Block until it answers a PING."""
        until_ready("redis", self._answers, [self.child], READY_TIMEOUT_S)

    def stop(self) -> None:
        """Stop it and wait for its end."""
        self.child.stop()

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.address, socket_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False


def start(directory: Path, port: int) -> RedisServer:
    """Start a Redis that keeps its files in the directory; does not wait for it."""
    server = install.require(install.REDIS_SERVER)
    settings = {
        "bind": "127.0.0.1",
        "port": port,
        "dir": directory,
        "maxmemory-policy": "noeviction",
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "daemonize": "no",
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    child = spawn([server, *options], log_file=directory / "redis.log")
    return RedisServer(address=f"redis://127.0.0.1:{port}/0", child=child)
