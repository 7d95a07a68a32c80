"""The method, size and answers of requests, as the API keeps them.

Real: Flask, the routes, SQLite. Doubled: Kafka's offsets and the announcements, by the shipped fakes.
"""

from flask.testing import FlaskClient

from tests.harness.subscriptions import document

PATH = "/1/Subscription"


def test_method_and_success_codes_are_kept_until_a_put_leaves_them_out(client: FlaskClient) -> None:
    webhook: dict[str, object] = {
        "url": "https://example.com/hook",
        "headers": [],
        "signing": {"kind": "none"},
        "method": "PATCH",
        "success_codes": ["200", "3xx"],
    }
    webhook |= {"authentication": None, "tls": None, "verification": {"kind": "none"}}
    created = client.post(PATH, json=document("destination.webhook", webhook))
    path = f"{PATH}/{created.get_json()['id']}"
    assert client.get(path).get_json()["destination"]["webhook"] == webhook
    client.patch(path, json={"name": "renamed"}, content_type="application/merge-patch+json")
    assert client.get(path).get_json()["destination"]["webhook"] == webhook
    client.put(path, json=document("destination.webhook", {"url": webhook["url"]}))
    assert client.get(path).get_json()["destination"]["webhook"] == webhook | {
        "method": "POST",
        "success_codes": ["2xx"],
    }


def test_bytes_and_rejection_are_kept_until_a_patch_removes_them(client: FlaskClient) -> None:
    changes = {"batching": {"max_batch_bytes": 5000}, "retry": {"on_rejected": "split"}}
    created = client.post(PATH, json=document("configuration", changes))
    path = f"{PATH}/{created.get_json()['id']}"
    configuration = client.get(path).get_json()["configuration"]
    assert (configuration["batching"]["max_batch_bytes"], configuration["retry"]["on_rejected"]) == (5000, "split")
    removed = {"configuration": {"batching": {"max_batch_bytes": None}, "retry": {"on_rejected": None}}}
    client.patch(path, json=removed, content_type="application/merge-patch+json")
    configuration = client.get(path).get_json()["configuration"]
    assert (configuration["batching"]["max_batch_bytes"], configuration["retry"]["on_rejected"]) == (None, "whole")
