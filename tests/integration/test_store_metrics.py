"""The metrics that are read from the database, and how often."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.databases import filled
from tests.harness.metrics import Scrape, exposed
from tests.harness.subscriptions import SECRET, signed_destination, subscription
from webhookd.flow.access.caller import Caller, Role
from webhookd.flow.alerting.alert import Alert, AlertKind
from webhookd.flow.alerting.mail import Mail
from webhookd.flow.destination import SigningSecret
from webhookd.store import key_changes, mail_outbox, subscriptions
from webhookd.store.database import Database
from webhookd.store.key_changes import NewKey
from workers.ingest.metrics.store_metrics import EXPIRIES_S, StoreMetrics

NOW = 1_800_000_000.0
OPERATOR = Caller(role=Role.ADMIN, key_id="0" * 20, name="operations", address="127.0.0.1")


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with filled(tmp_path / "metrics.db") as made:
        yield made


def expiries(scraped: Scrape) -> tuple[float | None, float | None]:
    return (
        scraped.value("webhookd_api_key_expiry_timestamp_seconds"),
        scraped.value("webhookd_signing_secret_expiry_timestamp_seconds"),
    )


def add_what_expires(database: Database) -> None:
    """A key that expires in 100 s, and a replaced secret that expires in 200 s."""
    secrets = (SigningSecret(secret=SECRET), SigningSecret(secret=SECRET, expires_at=NOW + 200))
    with database.transaction() as session:
        wanted = NewKey(name="acme", role=Role.CLIENT, tenant="acme", expires_at=NOW + 100)
        key_changes.create(session, OPERATOR, wanted, NOW)
        subscriptions.insert(session, subscription(destination=signed_destination(*secrets)))


def test_expiries_are_read_once_a_minute(database: Database) -> None:
    now = [NOW]
    metrics = StoreMetrics(database, lambda: now[0])
    with exposed() as live:
        metrics.refresh()
        assert expiries(live.read()) == (0, 0)
        add_what_expires(database)
        now[0] = NOW + EXPIRIES_S - 1
        metrics.refresh()
        assert expiries(live.read()) == (0, 0)
        now[0] = NOW + EXPIRIES_S
        metrics.refresh()
        assert expiries(live.read()) == (NOW + 100, NOW + 200)
        now[0] = NOW + 500
        metrics.refresh()
        assert expiries(live.read()) == (0, 0), "they have expired"


def test_waiting_mails_are_read_each_time(database: Database) -> None:
    metrics = StoreMetrics(database, lambda: NOW)
    mail = Mail(token="t", recipients=("a@example.com",), subject="s", body="b\n", created_at=NOW)
    with exposed() as live:
        metrics.refresh()
        assert live.read().value("webhookd_mails_waiting") == 0
        with database.transaction() as session:
            mail_outbox.add(session, [Alert(subject_key="fault:x", kind=AlertKind.FAULT, mail=mail)])
        metrics.refresh()
        assert live.read().value("webhookd_mails_waiting") == 1


def test_database_that_is_down_ends_nothing(tmp_path: Path) -> None:
    unreachable = Database(f"sqlite:///{tmp_path / 'no such folder' / 'x.db'}")
    StoreMetrics(unreachable, lambda: NOW).refresh()
