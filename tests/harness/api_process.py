"""The API behind gunicorn in a process of its own, with a database and without Kafka and Redis."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

WAIT_S = 20.0
BODY_BYTES = 20_000

_SERVE = """
import json, sys
from api.server import serve
from webhookd import logs
from webhookd.settings import Settings
logs.configure_process("json", "debug")
serve(Settings(redis_url="memory://", kafka_bootstrap_servers="127.0.0.1:1", kafka_ask_timeout_s=0.2,
               **json.loads(sys.argv[1])))
"""


@dataclass(slots=True)
class ApiProcess:
    """A running API: its port, and what it has logged; the log is whole after the process has ended."""

    port: int
    log: list[str] = field(default_factory=list)


@contextmanager
def running_api(database_url: str, **settings: object) -> Iterator[ApiProcess]:
    """Run it; at the end it must stop by itself when told to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {
        "database_url": database_url,
        "api_bind": f"127.0.0.1:{port}",
        "api_body_bytes": BODY_BYTES,
        "api_auth": "none",
        "metrics_bind": "127.0.0.1:0",
    }
    process = subprocess.Popen(  # this interpreter, running the lines above
        [sys.executable, "-c", _SERVE, json.dumps(own | settings)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stderr is not None
    server = ApiProcess(port)
    with closing(process.stderr) as lines:
        # gunicorn says so once a worker process runs; connections wait in the backlog from then on.
        assert any("Booting worker" in line for line in lines)
        reader = threading.Thread(target=lambda: server.log.extend(lines))
        reader.start()
        yield server
        process.send_signal(signal.SIGTERM)
        assert process.wait(WAIT_S) == 0
        reader.join(WAIT_S)
