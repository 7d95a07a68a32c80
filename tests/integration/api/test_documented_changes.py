"""The commands of docs/how-to/register.md that change a subscription, run by bash and curl as they stand there.

Real: bash, curl, Flask behind werkzeug's server, SQLite. Doubled: Kafka's offsets and the announcements, by the
shipped fakes.
"""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from tests.harness.pages import ROOT
from tests.harness.subscriptions import document

PAGE = ROOT / "docs/how-to/register.md"


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """The URL of a server of the application."""
    server = make_server("127.0.0.1", 0, app)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    serving.join()
    server.server_close()


def blocks() -> list[str]:
    """The bash blocks of the page."""
    parts = PAGE.read_text(encoding="utf-8").split("```bash\n")[1:]
    return [part.partition("```")[0] for part in parts]


def test_documented_changes_have_the_documented_effect(client: FlaskClient, address: str, tmp_path: Path) -> None:
    created = client.post("/1/Subscription", json=document("labels", {"team": "billing", "stage": "live"})).get_json()
    path = f"/1/Subscription/{created['id']}"
    for block in blocks():
        ran = subprocess.run(
            ["/bin/bash", "-euc", block],
            check=False,
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", "SUBSCRIPTION": f"{address}{path}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ran.returncode, '"status":4' in ran.stdout) == (0, False), ran
    changed = client.get(path).get_json()
    assert (changed["active"], changed["labels"]) == ("no", {"team": "billing"})
    assert changed["configuration"]["retry"]["max_retries"] == 8
    assert changed["configuration"]["batching"]["max_batch_size"] == 100
