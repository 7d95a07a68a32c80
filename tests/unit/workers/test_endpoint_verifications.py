"""What ingest does until an endpoint has consented. The test is the worker: it reads the questions, and reports.

In memory: Kafka, the publisher, the database writer. The clock is a number.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.harness.lanes import MIDDLE, tokens
from tests.harness.subscription_consumers import DESTINATION, GOOD, ZERO, Scene
from webhookd.flow.attempt.attempt_report import LoggedExchange, Report, ReportKind
from webhookd.flow.destination import Verification
from webhookd.flow.dispatch.endpoint_verification import EndpointVerification, VerificationTiming
from webhookd.flow.dispatch.question_turns import OPEN_AT_ONCE
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.status.activity import Activity
from webhookd.flow.status.delivery_status import DeliveryState
from webhookd.flow.status.subscription_status import Health
from webhookd.flow.subscription import Subscription
from workers.ingest.consumer.subscription_consumer import SubscriptionConsumer
from workers.ingest.settlement.endpoint_verifications import EndpointVerifications

UNVERIFIED = replace(DESTINATION, verification=Verification.OPTIONS)
EXCHANGE = LoggedExchange(1.0, "msg", 200, error="consent_missing", detail="the answer has no WebHook-Allowed-Origin")


class Ingest:
    """A running subscription whose endpoint has not consented."""

    def __init__(self) -> None:
        self.scene = Scene(size=1, destination=UNVERIFIED)
        self.consumer = self.scene.consumer
        self._new_id = tokens("question")
        self.running = {self.consumer.subscription.id: unverified(self.consumer, self._new_id)}
        self.questions: list[DeliveryRef] = []
        self.consents: list[tuple[int, int | None]] = []
        self.activity: list[Activity] = []
        self.verifications = EndpointVerifications(self.running, self, self, self.scene.services.monotonic, reply="me")
        self.verifications.check()

    def start(self, subscriptions: int) -> None:
        """So many more subscriptions start, of the same tenant, whose endpoints have not consented."""
        for number in range(subscriptions):
            consumer = Scene(destination=UNVERIFIED, id_=f"more-{number}").consumer
            self.running[consumer.subscription.id] = unverified(consumer, self._new_id)

    def asked_in_a_check(self) -> int:
        """Begin the questions whose turn it is, in a check; returns how many."""
        before = len(self.questions)
        self.verifications.check()
        return len(self.questions) - before

    def verify(self, question: DeliveryRef) -> None:
        self.questions.append(question)

    def set_verified(self, subscription: Subscription, granted_per_minute: int | None) -> None:
        self.consents.append((subscription.version, granted_per_minute))

    def add_activity(self, rows: Callable[[], list[Activity]]) -> None:
        self.activity += rows()

    def refuse(self) -> None:
        """The endpoint answers the last question without consent."""
        self.verifications.reported(Report(ReportKind.UNVERIFIED, self.questions[-1].id, 0, failure=EXCHANGE))

    def consent(self, interval_s: float = 0.0) -> None:
        """The endpoint consents to the last question."""
        exchange = replace_error(EXCHANGE)
        report = Report(ReportKind.VERIFIED, self.questions[-1].id, 0, wait_s=interval_s, success=exchange)
        self.verifications.reported(report)

    def pass_time(self, seconds: float) -> None:
        """Let time pass second by second, as the loop does."""
        for _ in range(int(seconds)):
            self.scene.services.now += 1.0
            self.verifications.check()
            self.consumer.check()


def unverified(consumer: SubscriptionConsumer, new_id: Callable[[], str]) -> SubscriptionConsumer:
    """A consumer whose endpoint is asked."""
    timing = VerificationTiming(answer_within_s=30.0)
    consumer.verification = EndpointVerification(timing, new_id, lambda: MIDDLE)
    return consumer


def replace_error(exchange: LoggedExchange) -> LoggedExchange:
    return LoggedExchange(exchange.at, exchange.webhook_id, exchange.status)


def test_endpoint_is_asked_at_once() -> None:
    ingest = Ingest()
    subscription = ingest.consumer.subscription
    (question,) = ingest.questions
    assert (question.subscription, question.version, question.reply_to) == (subscription.id, subscription.version, "me")


def test_nothing_leaves_however_long_records_wait() -> None:
    ingest = Ingest()
    ingest.scene.reads(ZERO, GOOD, GOOD)
    ingest.refuse()
    ingest.pass_time(400)
    accumulator = ingest.consumer.accumulator
    assert (accumulator.ready(ingest.scene.services.now + 1e6), accumulator.due_at()) == ([], None)
    assert ingest.scene.committable() == {ZERO: 0}


def test_consent_is_written_and_opens_nothing_here() -> None:
    ingest = Ingest()
    ingest.scene.reads(ZERO, GOOD)
    ingest.consent(interval_s=60 / 90)
    ingest.pass_time(400)
    assert (ingest.consents, len(ingest.questions)) == ([(ingest.consumer.subscription.version, 90)], 1)
    assert ingest.consumer.accumulator.ready(ingest.scene.services.now) == []


def test_consent_is_written_once() -> None:
    ingest = Ingest()
    ingest.consent()
    ingest.consent()
    assert ingest.consents == [(ingest.consumer.subscription.version, None)]


def test_report_about_a_version_that_has_ended_counts_for_nothing() -> None:
    ingest = Ingest()
    ingest.running.clear()
    ingest.consent()
    assert (ingest.consents, ingest.activity) == ([], [])


def test_lost_question_is_repeated() -> None:
    ingest = Ingest()
    ingest.pass_time(29)
    assert len(ingest.questions) == 1
    ingest.pass_time(1)
    assert len(ingest.questions) == 2


def test_many_endpoints_are_asked_a_few_at_a_time() -> None:
    ingest = Ingest()
    ingest.start(2 * OPEN_AT_ONCE)
    assert [ingest.asked_in_a_check() for _ in range(6)] == [20, 20, 20, 20, 19, 0]
    ingest.refuse()
    assert [ingest.asked_in_a_check() for _ in range(2)] == [1, 0]


def test_lost_questions_leave_their_turn_to_others() -> None:
    ingest = Ingest()
    ingest.start(2 * OPEN_AT_ONCE - 1)
    ingest.pass_time(40)
    assert len({question.subscription for question in ingest.questions}) == 2 * OPEN_AT_ONCE


def test_status_shows_the_answer_and_the_next_question() -> None:
    ingest = Ingest()
    ingest.refuse()
    ingest.pass_time(1)
    status, services = ingest.consumer.status(), ingest.scene.services
    delivery = status.delivery
    assert delivery is not None
    assert delivery.last_failure is not None
    assert (delivery.state, delivery.attempt, delivery.last_failure.code) == (
        DeliveryState.UNVERIFIED,
        1,
        "consent_missing",
    )
    assert delivery.next_attempt_at == pytest.approx(services.wall_clock() + 4.0)
    assert status.health is Health.HEALTHY


def test_it_is_a_problem_after_a_minute() -> None:
    ingest = Ingest()
    ingest.refuse()
    ingest.pass_time(62)
    (problem,) = [one for one in ingest.consumer.status().problems if one.code == "endpoint_unverified"]
    assert problem.detail == "consent_missing: the answer has no WebHook-Allowed-Origin"


def test_activity_shows_the_question() -> None:
    ingest = Ingest()
    ingest.refuse()
    (row,) = ingest.activity
    assert (row.request, row.succeeded, row.error) == ("OPTIONS https://example.com/hook", False, "consent_missing")
