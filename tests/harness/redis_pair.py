"""Two Redis servers behind one address, and a failover from one to the other under open connections.

The address belongs to a relay, which behaves like a proxy or a DNS name: open connections stay with their server, new
ones reach the current primary.
"""

import asyncio
import contextlib
from pathlib import Path
from threading import Thread
from typing import Self
from urllib.parse import urlsplit

from redis import Redis

from stack import redis
from stack.free_ports import free_ports
from stack.redis import RedisServer
from tests.harness.pipeline import PATIENCE_S, until

CHUNK_BYTES = 65536


class Relay:
    """Relays each connection to the port that was `to` when it was accepted."""

    def __init__(self, to: int) -> None:
        self.to = to
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close all connections and accept no more."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(PATIENCE_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        with contextlib.suppress(asyncio.CancelledError):  # when the relay closes; asyncio would log it
            await asyncio.gather(_pass(reader, onward), _pass(there, writer))

    async def _end(self) -> None:
        self._server.close()
        serving = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with contextlib.suppress(OSError):
            while said := await reader.read(CHUNK_BYTES):
                writer.write(said)
                await writer.drain()
    finally:
        writer.close()


class RedisPair:
    """A context with two servers: the first is the primary, the second its replica; `fail_over` swaps them."""

    def __init__(self, folder: Path, database: int = 0) -> None:
        self.servers: list[RedisServer] = []
        for name in ("redis-a", "redis-b"):
            (folder / name).mkdir()
            self.servers.append(redis.start(folder / name, free_ports(1)[0]))
        self._relay = Relay(self._port(0))
        self.address = f"redis://127.0.0.1:{self._relay.port}/{database}"

    def __enter__(self) -> Self:
        """Wait until the second server replicates the first one."""
        for server in self.servers:
            server.wait_ready()
        with self.client(0) as primary:
            primary.config_set("repl-diskless-sync-delay", 0)
        self._follow(1, 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the relay and both servers."""
        self._relay.close()
        for server in self.servers:
            server.stop()

    def fail_over(self) -> None:
        """Make the replica the primary and the primary its replica; open connections stay with the old primary."""
        with self.client(1) as promoted:
            promoted.execute_command("REPLICAOF", "NO", "ONE")
        self._relay.to = self._port(1)
        self._follow(0, 1)
        self.servers.reverse()

    def refuse(self) -> None:
        """Make the primary a replica; the address still leads to it, so no server accepts writes."""
        self._follow(0, 1)

    def client(self, number: int) -> Redis:
        """A client of a server without the relay; 0 is the primary."""
        return Redis.from_url(self.servers[number].address, decode_responses=True)

    def _port(self, number: int) -> int:
        port = urlsplit(self.servers[number].address).port
        assert port is not None
        return port

    def _follow(self, replica: int, primary: int) -> None:
        with self.client(replica) as client:
            client.execute_command("REPLICAOF", "127.0.0.1", self._port(primary))
            until(lambda: client.info("replication").get("master_link_status") == "up", "the replica is in sync")
