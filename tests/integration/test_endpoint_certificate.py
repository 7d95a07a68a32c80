"""The certificate of an endpoint: from a real handshake to the status and to one mail, over a restart and a renewal.

Real: the embedded service with its worker, a TLS server, a mail server, SQLite. Kafka is librdkafka's mock cluster.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from tests.harness.certificates import Certificates
from tests.harness.databases import filled
from tests.harness.embedded import Embedded
from tests.harness.hostile_server import OK, HostileServer, answering
from tests.harness.mail_server import MailServer
from tests.harness.pipeline import until
from tests.harness.secret_keys import SECRET_KEYS
from tests.harness.subscriptions import ID, subscription
from webhookd import clock
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.flow.alerting.alert import Alert
from webhookd.flow.status.endpoint_certificate import WARN_BEFORE_S, EndpointCertificate
from webhookd.flow.status.subscription_status import Health, SubscriptionStatus
from webhookd.store import mail_outbox, subscription_statuses
from webhookd.store.database import Database
from webhookd.store.tables import IncidentRow, MailRow
from webhookd.testing.mock_cluster import MockCluster
from workers.ingest.alerting import due_alerts
from workers.ingest.consumer import subscription_health

DAY = 86400.0
NOW = 1_700_000_000.0
HOST = "127.0.0.1"
TOPIC = "orders"
URL = "https://example.com/hook"
CERTIFICATE = EndpointCertificate(
    host="example.com", port=443, begins_at=NOW - 70 * DAY, expires_at=NOW + 20 * DAY, seen_at=NOW
)
STATUS = SubscriptionStatus(
    subscription_id=ID, health=Health.HEALTHY, version=1, endpoint_certificate=CERTIFICATE, delivered=3
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A database with a subscription that has an address for alerts."""
    with filled(tmp_path / "certificates.db", subscription(ID)) as made:
        yield made


def writes(database: Database, latest: SubscriptionStatus, now: float) -> None:
    """An ingest process writes the status."""
    with database.transaction() as session:
        assert due_alerts.raise_due(session, [latest], now) == []
        subscription_statuses.write(session, [latest])


def reminds(database: Database, now: float) -> list[Alert]:
    """An ingest process checks what has become due."""
    with database.transaction() as session:
        return due_alerts.remind(session, now)


def mails(database: Database) -> list[str]:
    with database.transaction() as session:
        return list(session.scalars(select(MailRow.subject).order_by(MailRow.id)))


class Endpoint:
    """A TLS server with a certificate for ten days, a mail server, and the service that delivers to the one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ends = float(int(clock.wall_clock() + 10 * DAY))
        self.certificates = Certificates()
        self.context = self.certificates.server_context(HOST, until=self.ends)
        self.cluster = MockCluster()
        self.cluster.create_topic(TOPIC)
        self.mails = MailServer()
        self.server = HostileServer(answering(OK), self.context)
        self.id = ""
        self._delivered = 0

    @contextmanager
    def service(self) -> Iterator[Embedded]:
        """One life of the service; the first one registers the subscription."""
        running = Embedded(
            KafkaConnection(self.cluster.bootstrap_servers),
            self.folder,
            kafka_group_protocol="consumer",
            kafka_fetch_wait_s=0.01,
            smtp_host=HOST,
            smtp_port=self.mails.port,
            smtp_security="none",
            mail_from="webhookd@example.com",
        )
        try:
            self.id = self.id or self._registered(running)
            yield running
        finally:
            running.close()

    def shown(self, service: Embedded) -> dict[str, Any]:
        """What the status says about the certificate."""
        status = service.api.status(self.id)
        assert (status["status"], status["reason"]) == ("healthy", "")
        found: dict[str, Any] = status["endpoint_certificate"] or {}
        return found

    def delivers(self, service: Embedded, state: str) -> None:
        """A record is delivered, and the certificate has this state then."""
        self._delivered += 1
        self.cluster.producer.produce(TOPIC, b"{}", partition=0)
        self.cluster.producer.flush(10.0)
        until(
            lambda: service.api.status(self.id)["counters"]["delivered"] == self._delivered, "the record is delivered"
        )
        until(lambda: self.shown(service).get("state") == state, f"the certificate is {state}")

    def _registered(self, service: Embedded) -> str:
        webhook = {
            "url": f"https://{HOST}:{self.server.port}/hook",
            "tls": {"ca_certificates": self.certificates.authority},
        }
        alerting = {"alert_channel": "email", "alert_emails": ["ops@example.com"]}
        created = service.api.register(
            {
                "name": "orders",
                "source": [{"topic": TOPIC, "start": "earliest"}],
                "destination": {"kind": "webhook", "webhook": webhook},
                "configuration": {"alerting": alerting},
            }
        )
        return str(created["id"])


def test_handshake_status_mail_restart_and_renewal(tmp_path: Path) -> None:
    endpoint = Endpoint(tmp_path)
    with endpoint.mails, endpoint.server:
        with endpoint.service() as service:
            endpoint.delivers(service, "expires_soon")
            found = endpoint.shown(service)
            assert (found["host"], found["port"]) == (HOST, endpoint.server.port)
            endpoint.mails.wait(lambda received: len(received) == 1)
            assert f"orders: the certificate of {HOST} expires on 20" in endpoint.mails.subjects()[0]
        with endpoint.service() as service:
            assert endpoint.shown(service) == found, "it is known before there is traffic"
            endpoint.delivers(service, "expires_soon")
        endpoint.certificates.renew(endpoint.context, HOST, until=endpoint.ends + 80 * DAY)
        with endpoint.service() as service:
            endpoint.delivers(service, "valid")
    database = Database(f"sqlite:///{tmp_path / 'webhookd.db'}", secret_keys=SECRET_KEYS)
    assert (len(mails(database)), len(endpoint.mails.received)) == (1, 1)
    assert reminds(database, clock.wall_clock()) == []
    assert len(reminds(database, endpoint.ends + 80 * DAY - WARN_BEFORE_S)) == 1, "the new one is warned of in time"
    database.close()


def test_warning_needs_no_traffic_and_only_one_process_sends_it(database: Database) -> None:
    writes(database, STATUS, NOW)
    due_at = CERTIFICATE.expires_at - WARN_BEFORE_S
    assert reminds(database, due_at - 1.0) == []
    assert [len(reminds(database, due_at + second)) for second in range(3)] == [1, 0, 0]
    writes(database, STATUS, due_at + 5.0)
    assert reminds(database, due_at + 6.0) == []
    assert mails(database) == ["[webhookd] orders to the shop: the certificate of example.com expires on 2023-12-04"]


def test_nothing_is_left_after_the_expiry(database: Database) -> None:
    writes(database, STATUS, NOW)
    reminds(database, CERTIFICATE.expires_at - WARN_BEFORE_S)
    writes(database, STATUS, CERTIFICATE.expires_at)
    assert reminds(database, CERTIFICATE.expires_at) == []
    writes(database, STATUS, CERTIFICATE.expires_at + 1.0)
    with database.transaction() as session:
        assert list(session.scalars(select(IncidentRow.subject_key))) == []
    assert len(mails(database)) == 1


def test_certificate_is_kept_for_the_same_endpoint_and_forgotten_for_another(database: Database) -> None:
    writes(database, STATUS, NOW)
    with database.transaction() as session:
        stored = subscription_statuses.read(session, ID)
    assert stored == STATUS
    for version, url, kept in (
        (1, URL, CERTIFICATE),
        (2, f"{URL}/other", CERTIFICATE),
        (2, "https://example.org/hook", None),
        (2, "http://example.com/hook", None),
    ):
        health = subscription_health.resumed(ID, version, stored, NOW + 5.0, url=url)
        assert health.status(()).endpoint_certificate == kept, url


def test_mail_that_is_refused_is_shown_for_its_subscription(database: Database) -> None:
    """The key of a certificate has a third part, which is no part of the subscription's id."""
    soon = replace(CERTIFICATE, expires_at=NOW + DAY)
    writes(database, replace(STATUS, endpoint_certificate=soon), NOW)
    reminds(database, NOW)
    with database.transaction() as session:
        claimed = mail_outbox.claim(session, NOW)
    assert claimed is not None
    assert claimed.owner == ID
