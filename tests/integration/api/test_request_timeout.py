"""`configuration.delivery.timeout_seconds` over the API."""

import pytest
from flask.testing import FlaskClient

from tests.harness.subscriptions import document

PATH = "/1/Subscription"


@pytest.mark.parametrize("timeout", [0, 61, -1, 2.5, "15", True])
def test_timeout_is_1_to_60_seconds(client: FlaskClient, timeout: object) -> None:
    answer = client.post(PATH, json=document("configuration.delivery.timeout_seconds", timeout))
    assert answer.status_code == 422
    assert answer.get_json()["errors"][0]["field"] == "configuration.delivery.timeout_seconds"


def test_timeout_stays_until_it_is_replaced(client: FlaskClient) -> None:
    created = client.post(PATH, json=document("configuration.delivery.timeout_seconds", 5)).get_json()
    path, patch = f"{PATH}/{created['id']}", {"content_type": "application/merge-patch+json"}
    assert (
        client.patch(path, json={"name": "other"}, **patch).get_json()["configuration"]["delivery"]["timeout_seconds"]
        == 5
    )
    changed = client.patch(path, json={"configuration": {"delivery": {"timeout_seconds": None}}}, **patch)
    assert changed.get_json()["configuration"]["delivery"]["timeout_seconds"] is None
    assert client.put(path, json=changed.get_json()).status_code == 200
