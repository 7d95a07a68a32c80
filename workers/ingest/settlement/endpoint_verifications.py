"""Asks the endpoints that must show that they want the requests, and passes on what they have answered.

question due     a task for the workers is published when it is its turn (flow/dispatch/endpoint_verification.py says
                 when it is due, question_turns.py whose turn it is)
no consent       the status shows the answer, and the activity has it
consent          is written to the database: the subscription is then run with another version, which delivers

Nothing else makes a subscription deliver. If this process ends before the consent is written, the endpoint is asked
again by the one that runs the subscription then.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from webhookd import logs
from webhookd.clock import Monotonic
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.destination import Verification
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification
from webhookd.flow.dispatch.question_turns import DueQuestion, next_questions
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.status.activity import Activity
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.settlement.activity_rendering import verification_row

OPTIONS = "OPTIONS"

_log = logs.get(__name__)


class Publisher(Protocol):
    """Publishes tasks."""

    def verify(self, question: DeliveryRef) -> None:
        """Publish the task that asks an endpoint; returns at once."""


class Writer(Protocol):
    """Writes to the database, later and on a thread of its own."""

    def set_verified(self, subscription: Subscription, granted_per_minute: int | None) -> None:
        """Store that the endpoint of this version has consented."""

    def add_activity(self, rows: Callable[[], list[Activity]]) -> None:
        """Add to the activity log."""


class EndpointVerifications:
    """Owned by the ingest loop's thread; `consumers` are the running ones, by subscription.

    `reply` is the name to which workers send reports.
    """

    def __init__(
        self,
        consumers: Mapping[str, SubscriptionConsumer],
        publisher: Publisher,
        writer: Writer,
        monotonic: Monotonic,
        *,
        reply: str,
    ) -> None:
        self._consumers = consumers
        self._publisher = publisher
        self._writer = writer
        self._monotonic = monotonic
        self._reply = reply
        self._asked: dict[str, SubscriptionConsumer] = {}

    def check(self) -> None:
        """Ask the endpoints whose turn it is."""
        self._asked = {id_: one for id_, one in self._asked.items() if self._runs(one)}
        now = self._monotonic()
        unverified = {
            id_: (one, one.verification)
            for id_, one in self._consumers.items()
            if one.verification is not None and not one.closed
        }
        due = [_due_question(one.subscription, asked) for one, asked in unverified.values() if asked.due(now)]
        open_tenants = [one.subscription.tenant for one, asked in unverified.values() if asked.awaits_answer(now)]
        for id_ in next_questions(due, open_tenants):
            self._ask(*unverified[id_], now)

    def reported(self, report: Report) -> None:
        """Apply the report of a worker, which may be about a subscription that has changed or ended meanwhile."""
        consumer = self._asked.pop(report.delivery, None)
        if consumer is None or not self._runs(consumer) or consumer.verification is None:
            return
        consented = consumer.verification.consented
        if not consumer.verification.reported(report, self._monotonic()) or consented:
            return
        subscription, exchange = consumer.subscription, report.success or report.failure
        if report.kind is ReportKind.VERIFIED:
            self._writer.set_verified(subscription, round(60 / report.wait_s) if report.wait_s else None)
        elif report.failure is not None:
            consumer.exchange_failed(report.failure)
        if exchange is not None:
            self._log(subscription, exchange)

    def _ask(self, consumer: SubscriptionConsumer, verification: EndpointVerification, now: float) -> None:
        id_ = verification.ask(now)
        self._asked[id_] = consumer
        subscription = consumer.subscription
        self._publisher.verify(
            DeliveryRef(
                id=id_,
                subscription=subscription.id,
                version=subscription.version,
                lanes={},
                attempt=0,
                records=0,
                batches=0,
                reply_to=self._reply,
            )
        )

    def _runs(self, consumer: SubscriptionConsumer) -> bool:
        return self._consumers.get(consumer.subscription.id) is consumer

    def _log(self, subscription: Subscription, exchange: LoggedExchange) -> None:
        destination = subscription.destination
        method = OPTIONS if destination.verification is Verification.OPTIONS else destination.method.value
        self._writer.add_activity(lambda: [verification_row(subscription, exchange, method)])
        _log.info("endpoint_answered", subscription=subscription.id, consent=not exchange.error, code=exchange.error)


def _due_question(subscription: Subscription, verification: EndpointVerification) -> DueQuestion:
    return DueQuestion(subscription=subscription.id, tenant=subscription.tenant, due_at=verification.due_at)
