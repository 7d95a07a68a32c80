"""TLS options of subscriptions: over HTTP, in the database, and in the requests that a worker makes of them.

Real: Flask, the routes, SQLite, the worker's cache and HTTP client, TLS. Doubled: Kafka, by the shipped fake.
"""

import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient

from tests.harness.certificates import Certificates
from tests.harness.delivery_senders import ref
from tests.harness.hostile_server import OK, Peer
from tests.harness.http_testbed import Authority, HttpTestbed, response
from tests.harness.subscriptions import document
from webhookd.edges.http_client.tls_contexts import TlsContexts
from webhookd.errors import UnusableDestination, UnusableSubscription
from webhookd.flow.destination import Tls
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.settings import Settings
from webhookd.store import subscriptions
from webhookd.store.database import Database
from workers.delivery.delivery_sender import RequestTemplate
from workers.delivery.subscription_cache import SubscriptionCache
from workers.ingest.consumer.consumer_factory import _confirm_tls

PATH = "/1/Subscription"
MADE = Certificates()
IDENTITY = MADE.identity()
OPTIONS = {
    "ca_certificates": MADE.authority,
    "client_certificate": IDENTITY.client_certificate,
    "client_key": IDENTITY.client_key,
}


@pytest.fixture
def settings() -> Settings:
    """With the permission to send to this machine."""
    return Settings(redis_url="memory://", api_auth="none", egress_allow=("127.0.0.0/8",))


@pytest.fixture
def testbed(tmp_path: Path) -> Iterator[HttpTestbed]:
    """A test bed with TLS."""
    with HttpTestbed(tls=True, authority=Authority(tmp_path)) as made:
        yield made


def body(tls: object, url: str = "https://example.com/hook") -> dict[str, Any]:
    made = document()
    made["destination"]["webhook"] |= {"url": url, "tls": tls}
    return made


def create(client: FlaskClient, tls: object, **url: str) -> str:
    answer = client.post(PATH, json=body(tls, **url))
    assert answer.status_code == 201, answer.text
    return f"{PATH}/{answer.get_json()['id']}"


def patch(client: FlaskClient, path: str, **webhook: object) -> Any:  # noqa: ANN401  # a JSON document
    answer = client.patch(path, json={"destination": {"webhook": webhook}})
    return answer.get_json()["errors"] if answer.status_code == 422 else answer.get_json()["destination"]["webhook"]


def stored(database: Database, path: str) -> Tls:
    with database.transaction() as session:
        return subscriptions.opened(session, subscriptions.find(session, path.rpartition("/")[2])).destination.tls


def delivery_of(id_: str) -> DeliveryRef:
    return msgspec.structs.replace(ref(), subscription=id_)


def refused(client: FlaskClient, tls: object, **url: str) -> list[tuple[str, str]]:
    answer = client.post(PATH, json=body(tls, **url))
    assert answer.status_code == 422, answer.text
    return [
        (error["field"].removeprefix("destination.webhook."), error["reason"]) for error in answer.get_json()["errors"]
    ]


def test_key_is_stored_and_never_shown(client: FlaskClient, database: Database) -> None:
    path = create(client, OPTIONS)
    answer = client.get(path)
    assert answer.get_json()["destination"]["webhook"]["tls"] == OPTIONS | {"client_key": "****", "verify": "yes"}
    assert "PRIVATE" not in answer.text
    assert stored(database, path) == replace(IDENTITY, ca_certificates=MADE.authority)
    assert "PRIVATE" not in client.get("/1/AuditLog").text


def test_what_is_shown_can_be_sent_back(client: FlaskClient, database: Database) -> None:
    path = create(client, OPTIONS)
    shown = client.get(path).get_json()
    assert client.put(path, json=shown).status_code == 200
    assert stored(database, path).client_key == IDENTITY.client_key


def test_patch_keeps_replaces_and_removes(client: FlaskClient, database: Database) -> None:
    path = create(client, OPTIONS)
    patch(client, path, url="https://example.com/other")
    assert stored(database, path).client_key == IDENTITY.client_key
    assert patch(client, path, tls={"ca_certificates": None})["tls"].keys() == {
        "client_certificate", "client_key", "verify",
    }  # fmt: skip
    (error,) = patch(client, path, tls={"client_key": MADE.identity().client_key})
    assert error["reason"] == "is not the key of client_certificate"
    assert patch(client, path, tls=None)["tls"] is None
    assert stored(database, path) == Tls()


def test_audit_log_names_a_changed_key(client: FlaskClient) -> None:
    path = create(client, OPTIONS)
    other = MADE.identity()
    patch(client, path, tls={"client_certificate": other.client_certificate, "client_key": other.client_key})
    changes = client.get("/1/AuditLog").text
    assert '"changed_secrets":["destination.webhook.tls.client_key"]' in changes.replace(" ", "").replace("\n", "")


def test_refusals_name_their_field(client: FlaskClient) -> None:
    masked = OPTIONS | {"client_key": "****"}
    assert refused(client, masked) == [("tls.client_key", "is masked, and there is no stored value to keep")]
    assert refused(client, {"client_key": OPTIONS["client_key"]}) == [
        ("tls.client_certificate", "is missing: client_key needs it")
    ]
    assert refused(client, OPTIONS, url="http://example.com/") == [
        ("tls", "has no effect with an http URL: leave it out, or write an https URL")
    ]
    ((field, reason),) = refused(client, {"verify": "no"})
    assert field == "tls.verify"
    assert "WEBHOOKD_EGRESS_TLS_SKIP_VERIFY" in reason
    ((field, reason),) = refused(client, {"verify": False})
    assert (field, reason) == ("tls.verify", 'is false: write "no"')


def test_expired_certificate_is_refused_and_prevents_no_other_change(client: FlaskClient, database: Database) -> None:
    expired = MADE.identity(until=time.time() - 60)
    options = {"client_certificate": expired.client_certificate, "client_key": expired.client_key}
    ((field, reason),) = refused(client, options)
    assert (field, reason.startswith("has expired at")) == ("tls.client_certificate", True)
    path = create(client, OPTIONS)
    with database.transaction() as session:
        found = subscriptions.opened(session, subscriptions.find(session, path.rpartition("/")[2]))
        aged = replace(found, version=found.version + 1, destination=replace(found.destination, tls=expired))
        subscriptions.replace(session, aged)
    assert client.patch(path, json={"name": "renamed"}).status_code == 200
    written_out = {"name": "renamed again", "destination": {"webhook": {"tls": options}}}
    assert client.patch(path, json=written_out).status_code == 200


def test_another_certificate_needs_its_key_written_out(client: FlaskClient) -> None:
    path, other = create(client, OPTIONS), MADE.identity()
    (error,) = patch(client, path, tls={"client_certificate": other.client_certificate})
    assert (error["field"], error["reason"].split(":")[0]) == ("destination.webhook.tls.client_key", "is masked")
    tls = {"client_certificate": other.client_certificate, "client_key": other.client_key}
    assert patch(client, path, tls=tls)["tls"]["client_certificate"] == other.client_certificate


class TestWhereVerificationMayBeLeftOut:
    """With the operator's permission, and after it was withdrawn."""

    @pytest.fixture
    def settings(self) -> Settings:
        """As the other tests have them, with the permission."""
        return Settings(redis_url="memory://", api_auth="none", egress_tls_skip_verify="allowed")

    def test_the_status_shows_it(self, client: FlaskClient) -> None:
        path = create(client, {"verify": "no"})
        assert client.get(path).get_json()["destination"]["webhook"]["tls"] == {"verify": "no"}
        assert client.get(f"{path}/Status").get_json()["tls_verify"] == "no"
        assert client.get(f"{create(client, None)}/Status").get_json()["tls_verify"] == "yes"

    def test_withdrawal_stops_the_subscription(self, client: FlaskClient, database: Database) -> None:
        id_ = create(client, {"verify": "no"}).rpartition("/")[2]
        withdrawn = Settings.model_validate({})
        delivery = delivery_of(id_)
        (found,) = SubscriptionCache(database, tls_contexts=TlsContexts(withdrawn)).templates([delivery])
        assert isinstance(found, UnusableDestination)
        assert found.detail.startswith("destination.webhook.tls.verify is no, which this installation does not allow")
        _confirm_tls(Settings(egress_tls_skip_verify="allowed"), Tls(verify=False))
        with pytest.raises(UnusableSubscription, match=r"destination.webhook.tls.verify is no"):
            _confirm_tls(withdrawn, Tls(verify=False))


def test_registered_options_reach_the_handshake(client: FlaskClient, database: Database, testbed: HttpTestbed) -> None:
    seen: list[list[str]] = []

    def script(peer: Peer) -> None:
        seen.append(peer.client_names)
        peer.answer(OK)

    context = MADE.server_context("127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=MADE.authority)
    server = testbed.serve(script, context)
    path = create(client, OPTIONS, url=f"https://127.0.0.1:{server.port}/hook")
    cache = SubscriptionCache(database, tls_contexts=TlsContexts(Settings.model_validate({})))
    (template,) = cache.templates([delivery_of(path.rpartition("/")[2])])
    assert isinstance(template, RequestTemplate)
    assert response(testbed.submit(testbed.loop(), template.target).wait()[0]).status == 200
    assert seen == [["client.test"]]
