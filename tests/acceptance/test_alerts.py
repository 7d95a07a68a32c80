"""Who gets a mail about a failure: from real processes, over real SMTP with STARTTLS and a login.

Oracle: the mails that the harness's mail server received. The test makes the endpoint fail, and stops Redis and
Postgres.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme

from stack import redis
from stack.free_ports import free_ports
from stack.service_group import ServiceGroup
from tests.acceptance.conftest import QUICK, Starts
from tests.harness.databases import new_database
from tests.harness.mail_server import MailServer, Received
from tests.harness.pipeline import Pipeline, subscription_body, until
from tests.harness.receiver import OK, Receiver, Request, status

OPERATORS = '["ops@example.com"]'
LOGIN = ("webhookd", "s3cret")


@pytest.fixture
def mail_server(tmp_path: Path) -> Iterator[MailServer]:
    """A mail server that requires a login over TLS; its authority is in `ca.pem`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with MailServer(context=context, login=LOGIN) as server:
        yield server


@pytest.fixture
def outbox_relay(mail_server: MailServer, tmp_path: Path) -> dict[str, str]:
    """The settings for that mail server."""
    return {
        "WEBHOOKD_SMTP_HOST": "127.0.0.1",
        "WEBHOOKD_SMTP_PORT": str(mail_server.port),
        "WEBHOOKD_SMTP_CA_FILE": str(tmp_path / "ca.pem"),
        "WEBHOOKD_SMTP_USER": LOGIN[0],
        "WEBHOOKD_SMTP_PASSWORD": LOGIN[1],
        "WEBHOOKD_MAIL_FROM": "webhookd@example.com",
        "WEBHOOKD_OPERATOR_EMAILS": OPERATORS,
    }


def owned(url: str, topic: str) -> dict[str, Any]:
    """A subscription without retries and with an alert address, as the API accepts it."""
    body = subscription_body(url, topic, "earliest", name="paid orders", retries=0)
    body["configuration"]["alerting"] = {"alert_channel": "email", "alert_emails": ["owner@example.com"]}
    return body


def subscribed(pipeline: Pipeline, url: str, topic: str) -> str:
    """Register such a subscription; returns its id."""
    return str(pipeline.ask("POST", "/1/Subscription", owned(url, topic))["id"])


def late(_: Request) -> bytes:
    """Answer after 3 s."""
    Event().wait(3.0)
    return OK


def fault_codes(pipeline: Pipeline) -> set[str]:
    """The codes of the faults in /health."""
    health: dict[str, Any] = pipeline.ask("GET", "/health")
    return {fault["code"] for fault in health["faults"]}


def about(code: str, *, over: bool = False) -> Callable[[list[Received]], bool]:
    """A check whether operators got a mail about this fault, or about its end."""
    wanted = f"[webhookd] system: {code}{' is over' if over else ''}"
    return lambda received: any(
        mail.message["Subject"] == wanted and mail.recipients == ("ops@example.com",) for mail in received
    )


def test_owner_is_mailed_once_about_a_failure_and_its_end(
    start_pipeline: Starts, mail_server: MailServer, outbox_relay: dict[str, str]
) -> None:
    with start_pipeline(**outbox_relay) as pipeline, Receiver(lambda _: status(500)) as receiver:
        topic = pipeline.topic(1)
        id_ = subscribed(pipeline, receiver.url, topic)
        pipeline.produce(topic, [json.dumps({"n": n}).encode() for n in range(20)], partitions=1)
        mail_server.wait(lambda received: len(received) == 1)
        failures = len(receiver.requests)
        receiver.wait(lambda: len(receiver.requests) > failures)
        receiver.answer = lambda _: OK
        mail_server.wait(lambda received: len(received) > 1)
        receiver.wait_for_records(20)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy")
    failing, recovered = mail_server.received
    assert (failing.recipients, failing.over_tls, failing.user) == (("owner@example.com",), True, "webhookd")
    assert str(failing.message["Subject"]).startswith("[webhookd] paid orders is failing (http_500)")
    assert id_ in failing.text
    assert str(recovered.message["Subject"]) == "[webhookd] paid orders has recovered"


def test_owner_who_reactivates_after_410_gets_no_more_mail(
    start_pipeline: Starts, mail_server: MailServer, outbox_relay: dict[str, str]
) -> None:
    with start_pipeline(**outbox_relay) as pipeline, Receiver(lambda _: status(410)) as receiver:
        topic = pipeline.topic(1)
        id_ = subscribed(pipeline, receiver.url, topic)
        pipeline.produce(topic, [b"1"], partitions=1)
        mail_server.wait(lambda received: len(received) == 1)
        receiver.answer = late
        pipeline.ask("PUT", f"/1/Subscription/{id_}", owned(receiver.url, topic))
        receiver.wait_for_records(1)
        pipeline.wait_committed(id_, topic)
        until(lambda: pipeline.status(id_)["counters"]["delivered"] == 1, "the status is written, with its alerts")
        assert pipeline.log("ingest").count('"event":"alert_raised"') == 1
    assert mail_server.subjects() == ["[webhookd] paid orders was deactivated (gone)"]


def test_alert_outlives_a_killed_ingest_and_a_missing_mail_server(start_pipeline: Starts) -> None:
    port = free_ports(1)[0]
    settings = {
        "WEBHOOKD_SMTP_HOST": "127.0.0.1",
        "WEBHOOKD_SMTP_PORT": str(port),
        "WEBHOOKD_SMTP_SECURITY": "none",
        "WEBHOOKD_MAIL_FROM": "webhookd@example.com",
    }
    with start_pipeline(**settings) as pipeline, Receiver(lambda _: status(500)) as receiver:
        topic = pipeline.topic(1)
        subscribed(pipeline, receiver.url, topic)
        pipeline.produce(topic, [b"{}"], partitions=1)
        until(lambda: '"event":"alert_raised"' in pipeline.log("ingest"), "the alert is raised")
        pipeline.kill("ingest")
        with MailServer(port=port) as server:
            pipeline.start("ingest")
            server.wait(lambda received: len(received) == 1)
            assert server.received[0].recipients == ("owner@example.com",)


def test_operators_are_mailed_about_missing_workers_and_redis(
    kafka_bootstrap: str, mail_server: MailServer, outbox_relay: dict[str, str], tmp_path: Path
) -> None:
    (folder := tmp_path / "redis").mkdir()
    port = free_ports(1)[0]
    server = redis.start(folder, port)
    server.wait_ready()
    settings = {**QUICK, **outbox_relay}
    try:
        with (
            new_database("postgres", tmp_path) as database,
            Pipeline(
                tmp_path, kafka=kafka_bootstrap, redis=server.address, database=database, settings=settings
            ) as pipeline,
        ):
            until(lambda: not fault_codes(pipeline), "there is no fault")
            pipeline.kill("worker")
            mail_server.wait(about("no_workers"))
            pipeline.start("worker")
            mail_server.wait(about("no_workers", over=True))
            server.stop()
            mail_server.wait(about("queue_unavailable"))
            assert "queue_unavailable" in fault_codes(pipeline)
            server = redis.start(folder, port)
            server.wait_ready()
            mail_server.wait(about("queue_unavailable", over=True))
            until(lambda: not fault_codes(pipeline), "there is no fault any more")
            assert "store_unavailable" not in pipeline.log("ingest")
    finally:
        server.stop()


def test_operators_are_mailed_about_the_database_without_it(
    kafka_bootstrap: str, redis_url: str, mail_server: MailServer, outbox_relay: dict[str, str], tmp_path: Path
) -> None:
    with ServiceGroup() as services:
        postgres = services.start_postgres()
        services.wait_ready()
        settings = {**QUICK, **outbox_relay}
        database = postgres.create_database("webhookd")
        with Pipeline(
            tmp_path, kafka=kafka_bootstrap, redis=redis_url, database=database, settings=settings
        ) as pipeline:
            until(lambda: not fault_codes(pipeline), "there is no fault")
            postgres.stop()
            mail_server.wait(about("store_unavailable"))
            assert fault_codes(pipeline) == {"store_unavailable"}
    assert mail_server.subjects() == ["[webhookd] system: store_unavailable"]
