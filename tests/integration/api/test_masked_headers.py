"""Header values are secrets: no answer and no log line has them. Real: Flask, the routes, SQLite."""

import pytest
from flask.testing import FlaskClient

from tests.harness.subscriptions import document
from tests.integration.api.test_subscriptions import PATH, create
from webhookd.store import subscriptions
from webhookd.store.database import Database


def test_secrets_never_leave(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    created = create(client)
    path = f"{PATH}/{created['id']}"
    answers = [client.get(path), client.get(PATH), client.get(f"{path}/Status"), client.put(path, json=created)]
    texts = [answer.text.replace('"secret":"****"', "") for answer in answers]
    assert not [text for text in texts if "secret" in text or "whsec_" in text]
    assert "secret" not in caplog.text


def test_a_masked_header_keeps_its_value(client: FlaskClient, database: Database) -> None:
    created = create(client)
    created["destination"]["webhook"]["headers"] = ["x-api-key: ****", "X-New: 1"]
    assert client.put(f"{PATH}/{created['id']}", json=created).status_code == 200
    with database.transaction() as session:
        stored = subscriptions.find(session, created["id"])
    assert stored.destination.headers == (("x-api-key", "secret"), ("X-New", "1"))


def test_a_masked_header_with_nothing_to_keep_is_refused(client: FlaskClient) -> None:
    created = create(client)
    created["destination"]["webhook"]["headers"].append("X-Other: ****")
    answer = client.put(f"{PATH}/{created['id']}", json=created)
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "destination.webhook.headers[1]")


def test_a_masked_header_cannot_be_registered(client: FlaskClient) -> None:
    answer = client.post(PATH, json=document("destination.webhook.headers", ["X-Api-Key: ****"]))
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "destination.webhook.headers[0]")
