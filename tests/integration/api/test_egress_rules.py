"""The operators' egress rules at the API: what is refused, what a stored URL may stay, and what a client learns."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.harness.api_apps import new_app
from tests.harness.openapi_answers import every_answer_documented
from tests.harness.subscriptions import document
from webhookd.settings import Settings
from webhookd.store.database import Database
from webhookd.testing.memory_kafka_admin import MemoryKafkaAdmin

PATH = "/1/Subscription"
URL = "destination.webhook.url"
TOKEN_URL = "destination.webhook.authentication.token_url"
POINTER = "/destination/webhook/url"

MakeClient = Callable[..., FlaskClient]


@pytest.fixture
def with_rules(settings: Settings, database: Database, kafka: MemoryKafkaAdmin) -> Iterator[MakeClient]:
    """Makes a client of an API with these rules, for which every name has this address."""
    with ExitStack() as exits:

        def make(address: str = "8.8.8.8", **rules: object) -> FlaskClient:
            app = new_app(settings.model_copy(update=rules), database, kafka, address=address)
            exits.enter_context(every_answer_documented(app))
            return app.test_client()

        yield make


def with_url(url: str) -> dict[str, Any]:
    return document("destination.webhook.url", url)


NOTHING = "to which this installation sends nothing (the rule"


@pytest.mark.parametrize(
    ("rules", "url", "reason"),
    [
        (
            {"egress_require_https": True},
            "http://a.example/",
            "is http, and this installation sends only to https (the rule https_required)",
        ),
        ({"egress_allow_ports": ("443",)}, "https://a.example:8443/", f"has a port {NOTHING} port_not_allowed)"),
        ({"egress_forbid_ports": ("25",)}, "http://a.example:25/", f"has a port {NOTHING} port_forbidden)"),
        ({"egress_allow_hosts": ("*.b.example",)}, "http://a.example/", f"has a host {NOTHING} host_not_allowed)"),
        ({"egress_forbid_hosts": ("a.example",)}, "http://a.example/", f"has a host {NOTHING} host_forbidden)"),
        ({"egress_forbid": ("8.8.8.0/24",)}, "http://8.8.8.8/", f"has an address {NOTHING} network_forbidden)"),
        ({}, "http://0x7f.1/", f"has an address {NOTHING} loopback)"),
        ({}, "http://[64:ff9b::a00:1]/", f"has an address {NOTHING} private)"),
        ({}, "http://a.example/{id}", "has the character {, which is in no URL: write %7B for it"),
    ],
)
def test_registration_against_a_rule_is_refused_with_its_name(
    with_rules: MakeClient, rules: dict[str, object], url: str, reason: str
) -> None:
    client = with_rules(**rules)
    refused = client.post(PATH, json=with_url(url))
    assert refused.status_code == 422
    assert refused.get_json()["errors"] == [{"field": URL, "pointer": POINTER, "reason": reason}]
    assert client.get(PATH).get_json() == []


def test_url_that_a_later_rule_refuses_may_stay(with_rules: MakeClient) -> None:
    created = with_rules().post(PATH, json=with_url("http://a.example/")).get_json()
    path, later = f"{PATH}/{created['id']}", with_rules(egress_require_https=True)
    changed = later.patch(path, json={"name": "another name"})
    assert (changed.status_code, changed.get_json()["name"]) == (200, "another name")
    replaced = later.put(path, json=with_url("http://a.example/"))
    assert replaced.status_code == 200
    assert (URL, "url_refused") in [(found["field"], found["code"]) for found in replaced.get_json()["warnings"]]
    other = later.patch(path, json={"destination": {"webhook": {"url": "http://b.example/"}}})
    assert (other.status_code, other.get_json()["errors"][0]["field"]) == (422, URL)
    assert later.patch(path, json={"destination": {"webhook": {"url": "https://a.example/"}}}).status_code == 200


def test_token_endpoint_is_under_the_same_rules(with_rules: MakeClient) -> None:
    login = {"kind": "oauth2_client_credentials", "client_id": "shop", "client_secret": "s3cret"}
    login["token_url"] = "https://login.example:8443/token"
    given = document("destination.webhook.authentication", login)
    created = with_rules().post(PATH, json=given).get_json()
    path, later = f"{PATH}/{created['id']}", with_rules(egress_allow_ports=("443",))
    refused = later.post(PATH, json=given)
    reason = f"has a port {NOTHING} port_not_allowed)"
    assert (refused.status_code, refused.get_json()["errors"]) == (
        422,
        [{"field": TOKEN_URL, "pointer": "/destination/webhook/authentication/token_url", "reason": reason}],
    )
    replaced = later.put(path, json=given)
    assert replaced.status_code == 200, "it may stay"
    assert (TOKEN_URL, "url_refused") in [(found["field"], found["code"]) for found in replaced.get_json()["warnings"]]


def test_url_is_judged_before_its_registration_and_nothing_is_stored(with_rules: MakeClient) -> None:
    client, check = with_rules(address="10.1.2.3", egress_allow_ports=("443",)), f"{PATH}/EndpointCheck"
    found = client.post(check, json={"url": "https://db.intern.example/"})
    assert (found.status_code, found.get_json()["accepted"], found.get_json()["rules"]) == (200, False, ["private"])
    for url, accepted, rules in [
        ("https://8.8.8.8/", True, []),
        ("https://10.1.2.3/", False, ["private"]),
        ("https://8.8.8.8:8443/", False, ["port_not_allowed"]),
    ]:
        answer = client.post(check, json={"url": url}).get_json()
        assert (answer["accepted"], answer["rules"]) == (accepted, rules)
        assert (client.post(PATH, json=with_url(url)).status_code == 201) is accepted, "a registration says the same"
    assert len(client.get(PATH).get_json()) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, "is missing: write a URL, such as https://example.com/hook"),
        ({"url": None}, "is null: write a URL, such as https://example.com/hook"),
        ({"url": "ftp://a.example/"}, "has the scheme ftp: write http or https"),
        ({"url": "https://a.example:0/"}, "has a port that is not between 1 and 65535"),
    ],
)
def test_url_that_cannot_be_used_is_not_judged(client: FlaskClient, body: dict[str, object], reason: str) -> None:
    answer = client.post(f"{PATH}/EndpointCheck", json=body)
    assert answer.status_code == 422
    assert answer.get_json()["errors"] == [{"field": "url", "pointer": "/url", "reason": reason}]


@pytest.mark.parametrize("method", ["post", "put", "patch"])
def test_name_that_leads_inside_is_a_warning_without_its_address(with_rules: MakeClient, method: str) -> None:
    client = with_rules(address="10.1.2.3")
    answer = client.post(PATH, json=with_url("https://db.intern.example/"))
    path, url = f"{PATH}/{answer.get_json()['id']}", "https://db2.intern.example/"
    if method == "put":
        answer = client.put(path, json=with_url(url))
    if method == "patch":
        answer = client.patch(path, json={"destination": {"webhook": {"url": url}}})
    assert answer.status_code < 300
    [warning] = [found for found in answer.get_json()["warnings"] if found["field"] == URL]
    assert warning["code"] == "address_refused"
    assert "(private)" in warning["reason"]
    assert "10.1.2.3" not in answer.text
