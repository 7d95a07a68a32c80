"""The commands of the pages that need the API alone, run by bash and curl as they stand there.

Real: bash, curl, Flask behind werkzeug's server, SQLite. Doubled: Kafka's offsets and the announcements, by the
shipped fakes.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from tests.harness.pages import API_PAGES, ROOT, blocks
from tests.harness.subscriptions import document
from webhookd.flow.destination import ClientCredentials, Verification
from webhookd.store import subscriptions
from webhookd.store.database import Database


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


def run(page: str, address: str, folder: Path, **environment: str) -> list[str]:
    """Run the bash blocks of a page against the server, each of which has to end with 0; returns what they print."""
    assert page in API_PAGES
    texts = [block.text for block in blocks(ROOT / page) if block.info == "bash"]
    assert texts
    printed = []
    for text in texts:
        ran = subprocess.run(
            ["/bin/bash", "-euc", text.replace("http://127.0.0.1:8080", address)],
            check=False,
            cwd=folder,
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ran.returncode, '"status":4' in ran.stdout.replace(": ", ":")) == (0, False), ran
        printed.append(ran.stdout)
    return printed


def test_documented_changes_have_the_documented_effect(client: FlaskClient, address: str, tmp_path: Path) -> None:
    created = client.post("/1/Subscription", json=document("labels", {"team": "billing", "stage": "live"})).get_json()
    path = f"/1/Subscription/{created['id']}"
    run("docs/how-to/register.md", address, tmp_path, SUBSCRIPTION=f"{address}{path}")
    changed = client.get(path).get_json()
    assert (changed["active"], changed["labels"]) == ("no", {"team": "billing"})
    assert changed["configuration"]["retry"]["max_retries"] == 8
    assert changed["configuration"]["batching"]["max_batch_size"] == 100


def test_documented_verification_is_requested(
    client: FlaskClient, database: Database, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seconds pass at each look at the clock."""
    monkeypatch.setattr("webhookd.clock.wall_clock", count(1.8e9, 5.0).__next__)
    id_ = client.post("/1/Subscription", json=document()).get_json()["id"]
    run("docs/how-to/verify-endpoints.md", address, tmp_path, SUBSCRIPTION=f"{address}/1/Subscription/{id_}")
    with database.transaction() as session:
        found = subscriptions.find(session, id_)
    assert (found.destination.verification, found.version) == (Verification.ECHO, 3)


def test_documented_credentials_are_stored_and_masked(
    client: FlaskClient, database: Database, address: str, tmp_path: Path
) -> None:
    path = f"/1/Subscription/{client.post('/1/Subscription', json=document()).get_json()['id']}"
    printed = run("docs/how-to/authenticate.md", address, tmp_path, SUBSCRIPTION=f"{address}{path}")
    shown = [block.text for block in blocks(ROOT / "docs/how-to/authenticate.md") if block.info == "console"]
    assert shown == [printed[2]]
    with database.transaction() as session:
        stored = subscriptions.opened(
            session, subscriptions.find(session, path.rpartition("/")[2])
        ).destination.authentication
    assert isinstance(stored, ClientCredentials)
    assert (stored.client_secret, stored.scope) == ("another secret", "orders.write")


def test_documented_command_saves_the_description_of_the_api(client: FlaskClient, address: str, tmp_path: Path) -> None:
    run("docs/how-to/generate-a-client.md", address, tmp_path)
    saved = json.loads((tmp_path / "webhookd.json").read_text())
    assert saved == client.get("/openapi.json").get_json()
