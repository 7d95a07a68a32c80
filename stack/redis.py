"""A temporary Redis with webhookd's settings: no eviction, append-only file."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from stack import install
from stack.child import Child, spawn
from stack.waiting import until_ready

READY_TIMEOUT_S = 20.0


class RedisServer:
    """A started Redis, which may be killed, frozen and started again. `address` is its URL."""

    def __init__(self, address: str, launch: Callable[[], Child]) -> None:
        self.address = address
        self._launch = launch
        self.child = launch()

    def wait_ready(self) -> None:
        """Block until it answers a PING."""
        until_ready("redis", self._answers, [self.child], READY_TIMEOUT_S)

    def stop(self) -> None:
        """Stop it and wait for its end."""
        self.child.stop()

    def kill(self) -> None:
        """Kill it: data that was not written to its file is lost."""
        self.child.kill()

    def start_again(self) -> None:
        """Start it again with its data and port after `stop` or `kill`; does not wait for it."""
        self.child = self._launch()

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.address, socket_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False


def start(directory: Path, port: int, more: Mapping[str, str | int | Path] | None = None) -> RedisServer:
    """Start a Redis that keeps its files in the directory; does not wait for it. `more` are settings of Redis."""
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
        **(more or {}),
    }
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command: list[str | Path] = [server, *options]
    return RedisServer(f"redis://127.0.0.1:{port}/0", lambda: spawn(command, log_file=directory / "redis.log"))


def start_sentinel(directory: Path, port: int, settings: Iterable[str]) -> RedisServer:
    """Start a Sentinel that keeps its state in the directory; does not wait for it.

    `settings` are lines of its file.
    """
    server = install.require(install.REDIS_SERVER)
    file = directory / "sentinel.conf"
    file.write_text("\n".join(["bind 127.0.0.1", f"port {port}", f"dir {directory}", *settings, ""]), encoding="utf-8")
    command: list[str | Path] = [server, file, "--sentinel"]
    return RedisServer(f"redis://127.0.0.1:{port}", lambda: spawn(command, log_file=directory / "sentinel.log"))
