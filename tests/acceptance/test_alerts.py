"""Who gets a mail about a failure: from real processes, over real SMTP with STARTTLS and a login.

Oracle: the mails that the harness's mail server received. The test makes the endpoint fail, and stops Redis and
Postgres.
"""

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import trustme

from stack.free_ports import free_ports
from stack.postgres import PostgresServer
from stack.redis import RedisServer
from stack.service_group import ServiceGroup
from tests.acceptance.conftest import QUICK, Starts
from tests.harness.mail_server import MailServer, Received
from tests.harness.pipeline import Pipeline, subscription_body, until
from tests.harness.receiver import OK, Receiver, Request, status
from webhookd.testing.http_endpoint import Answer

OPERATORS = '["ops@example.com"]'
LOGIN = ("webhookd", "s3cret")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The service with a Redis and a Postgres of its own, and the mail server that it uses."""

    pipeline: Pipeline
    mails: MailServer
    redis: RedisServer
    postgres: PostgresServer


@pytest.fixture(scope="module")
def running(kafka_bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One site for these tests. Its mail server requires a login over TLS."""
    folder = tmp_path_factory.mktemp("alerts")
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with MailServer(context=context, login=LOGIN) as mails, ServiceGroup() as services:
        redis, postgres = services.start_redis(), services.start_postgres()
        services.wait_ready()
        with Pipeline(
            folder,
            kafka=kafka_bootstrap,
            redis=redis.address,
            database=postgres.create_database("webhookd"),
            settings={**QUICK, **mail_settings(mails, folder / "ca.pem")},
        ) as pipeline:
            yield Site(pipeline=pipeline, mails=mails, redis=redis, postgres=postgres)


@pytest.fixture
def site(running: Site) -> Site:
    """The site when no fault is left, with the mails of this test alone."""
    until(lambda: not fault_codes(running.pipeline), "there is no fault")
    running.mails.forget()
    return running


def mail_settings(server: MailServer, authority: Path) -> dict[str, str]:
    """The settings for that mail server."""
    return {
        "WEBHOOKD_SMTP_HOST": "127.0.0.1",
        "WEBHOOKD_SMTP_PORT": str(server.port),
        "WEBHOOKD_SMTP_CA_FILE": str(authority),
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


def late(_: Request) -> Answer:
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


def test_owner_is_mailed_once_about_a_failure_and_its_end(site: Site) -> None:
    pipeline, mails = site.pipeline, site.mails
    with Receiver(lambda _: status(500)) as receiver:
        topic = pipeline.topic(1)
        id_ = subscribed(pipeline, receiver.url, topic)
        pipeline.produce(topic, [json.dumps({"n": n}).encode() for n in range(20)], partitions=1)
        mails.wait(lambda received: len(received) == 1)
        failures = len(receiver.requests)
        receiver.wait(lambda: len(receiver.requests) > failures)
        receiver.answer = lambda _: OK
        mails.wait(lambda received: len(received) > 1)
        receiver.wait_for_records(20)
        until(lambda: pipeline.status(id_)["status"] == "healthy", "it is healthy")
    failing, recovered = mails.received
    assert (failing.recipients, failing.over_tls, failing.user) == (("owner@example.com",), True, "webhookd")
    assert str(failing.message["Subject"]).startswith("[webhookd] paid orders is failing (http_500)")
    assert id_ in failing.text
    assert str(recovered.message["Subject"]) == "[webhookd] paid orders has recovered"


def test_owner_who_reactivates_after_410_gets_no_more_mail(site: Site) -> None:
    pipeline, mails = site.pipeline, site.mails
    with Receiver(lambda _: status(410)) as receiver:
        topic = pipeline.topic(1)
        id_ = subscribed(pipeline, receiver.url, topic)
        pipeline.produce(topic, [b"1"], partitions=1)
        mails.wait(lambda received: len(received) == 1)
        receiver.answer = late
        pipeline.ask("PUT", f"/1/Subscription/{id_}", owned(receiver.url, topic))
        receiver.wait_for_records(1)
        pipeline.wait_committed(id_, topic)
        until(lambda: pipeline.status(id_)["counters"]["delivered"] == 1, "the status is written, with its alerts")
        raised = [line for line in pipeline.log("ingest").splitlines() if '"event":"alert_raised"' in line]
        assert sum(id_ in line for line in raised) == 1
    assert mails.subjects() == ["[webhookd] paid orders was deactivated (gone)"]


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


def test_operators_are_mailed_about_the_database_without_it(site: Site) -> None:
    site.postgres.stop()
    try:
        site.mails.wait(about("store_unavailable"))
        assert fault_codes(site.pipeline) == {"store_unavailable"}
        assert site.mails.subjects() == ["[webhookd] system: store_unavailable"]
    finally:
        site.postgres.start_again()
    site.mails.wait(about("store_unavailable", over=True))


def test_operators_are_mailed_about_missing_workers_and_redis(site: Site) -> None:
    pipeline, mails = site.pipeline, site.mails
    before = pipeline.log("ingest").count("store_unavailable")
    pipeline.kill("worker")
    mails.wait(about("no_workers"))
    pipeline.start("worker")
    mails.wait(about("no_workers", over=True))
    site.redis.stop()
    mails.wait(about("queue_unavailable"))
    assert "queue_unavailable" in fault_codes(pipeline)
    site.redis.start_again()
    mails.wait(about("queue_unavailable", over=True))
    until(lambda: not fault_codes(pipeline), "there is no fault any more")
    assert pipeline.log("ingest").count("store_unavailable") == before
