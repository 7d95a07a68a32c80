"""A destination that a worker cannot use: the reason says which field it is, and the others of the task are sent."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.harness.databases import filled
from tests.harness.delivery_senders import ref
from tests.harness.subscriptions import subscription
from webhookd.errors import InvalidInput, UnusableDestination
from webhookd.flow.destination import Destination, Tls
from webhookd.store import subscriptions
from webhookd.store.database import Database
from workers.delivery import request_templates
from workers.delivery.delivery_sender import RequestTemplate, TemplateResult
from workers.delivery.subscription_cache import SubscriptionCache

ID = ref().subscription


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with one subscription, in its first version."""
    with filled(tmp_path / "cache.db", subscription(ID)) as made:
        yield made


def reason(found: TemplateResult) -> str:
    """Why the destination cannot be used."""
    assert isinstance(found, UnusableDestination), found
    return found.detail


def test_secret_in_the_reason_is_masked(database: Database) -> None:
    secret = "a-long-token-of-the-endpoint"
    destination = Destination(url=f"nowhere/{secret}", headers=(("X-Api-Key", secret),))
    with database.transaction() as session:
        subscriptions.replace(session, subscription(ID, version=2, destination=destination))
    (found,) = SubscriptionCache(database).templates([msgspec.structs.replace(ref(), version=2)])
    assert (secret in reason(found), "nowhere/****" in reason(found)) == (False, True)


def test_one_unusable_subscription_does_not_stop_the_others_of_its_task(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(destination: Destination, _origin: str) -> tuple[tuple[str, str], ...]:
        if destination.url.endswith("/fault"):
            raise AssertionError("a fault of ours, with a secret")
        return destination.headers

    monkeypatch.setattr(request_templates, "delivery_headers", fails)
    for id_, url in (("s2", "nowhere"), ("s3", "https://example.com/fault")):
        with database.transaction() as session:
            subscriptions.insert(session, subscription(id_, destination=Destination(url=url)))
    refs = [msgspec.structs.replace(ref(f"d{number}"), subscription=f"s{number}") for number in (2, 3)]
    invalid, faulty, usable = SubscriptionCache(database).templates([*refs, ref()])
    assert reason(invalid).startswith("destination.webhook.url ")
    assert reason(faulty) == (
        "destination.webhook cannot be used, because of a fault in webhookd: AssertionError in fails"
    )
    assert isinstance(usable, RequestTemplate)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidInput("is no certificate", field="destination.webhook.tls.ca_certificates"), ".ca_certificates is no"),
        (FileNotFoundError("/etc/a-path-of-the-operators"), " needs a file that the operator of webhookd has set"),
        (AssertionError("a fault of ours, with a secret"), " needs a file that the operator of webhookd has set"),
    ],
)
def test_tls_options_that_fail_do_not_stop_the_others_of_a_task(
    database: Database, error: Exception, said: str
) -> None:
    class Contexts:
        def get(self, tls: Tls) -> str:
            assert not tls.verify
            raise error

    destination = Destination(url="https://example.com/hook", tls=Tls(verify=False))
    with database.transaction() as session:
        subscriptions.insert(session, subscription("s2", destination=destination))
    cache = SubscriptionCache(database, tls_contexts=Contexts())
    refs = [ref(), msgspec.structs.replace(ref("d2"), subscription="s2")]
    for _ in range(2):
        usable, failing = cache.templates(refs)
        assert isinstance(usable, RequestTemplate)
        assert reason(failing).startswith(f"destination.webhook.tls{said}")
