"""What the task handler does with a task: claims, sends and reports it, and publishes retries of failed batches."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue

import msgspec
import pytest

from tests.harness.delivery_senders import (
    LIMITS,
    OK,
    PATIENCE_S,
    SenderScene,
    UnreliableCoordination,
    answer,
    batches_of,
    no_answer,
    ref,
    template,
    wait_for_reports,
)
from tests.harness.lanes import MIDDLE
from tests.harness.metrics import LiveMetrics
from webhookd.errors import QueueUnavailable, SecretsUnreadable, StoreUnavailable, UnusableDestination
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.attempt.exchange_result import FailureCode, Outcome
from webhookd.flow.batching.batch import decode_batches, encode_batches
from webhookd.flow.destination import RateLimit
from webhookd.flow.dispatch.coordination import ClaimAnswer, Publication, ReportFlush
from webhookd.flow.dispatch.delivery_session import SessionClaim
from webhookd.flow.dispatch.request_quota import FULL_WAIT_S, PermitRequest, Permitted, Quota, UsedPermit
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Retry
from workers.delivery.delivery_log import DeliveryLog
from workers.delivery.delivery_observers import DeliveryObservers
from workers.delivery.delivery_sender import DeliverySender, TemplateResult
from workers.delivery.report_sender import ReportSender
from workers.delivery.task_handler import BACK_OFF_S, SPREAD, TaskHandler


class Endpoint:
    """Runs a sender at once; the outcome is the scripted one for the request's body, or OK."""

    def __init__(self, scripted: dict[bytes, Outcome]) -> None:
        self.scripted = scripted
        self.received: list[bytes] = []
        self.on_request: Callable[[], None] = lambda: None
        self.on_wait: Callable[[float], None] = lambda _delay_s: None

    def submit(self, sender: DeliverySender) -> None:
        request = sender.advance(None)
        while request is not None:
            body = SenderScene.body_of(request)
            self.received.append(body)
            self.on_request()
            request = sender.advance(self.scripted.get(body, OK))

    def submit_later(self, sender: DeliverySender, delay_s: float) -> None:
        self.on_wait(delay_s)
        self.submit(sender)


class Templates:
    """The template of each subscription; None for `outdated` ones, an error for those in the other sets."""

    def __init__(self, retry: Retry) -> None:
        self.outdated: set[str] = set()
        self.unread: set[str] = set()
        self.unreadable: set[str] = set()
        self.sealed: set[str] = set()
        self.unusable: set[str] = set()
        self._template = template(retry)

    def limit(self, quota: Quota) -> None:
        """Give every subscription this quota."""
        self._template = replace(self._template, quotas=(quota,))

    def templates(self, refs: list[DeliveryRef]) -> list[TemplateResult]:
        return [self._answer(one.subscription) for one in refs]

    def in_memory(self, refs: Sequence[DeliveryRef]) -> bool:
        return not any(one.subscription in self.unread for one in refs)

    def _answer(self, subscription: str) -> TemplateResult:
        if subscription in self.unreadable:
            return StoreUnavailable()
        if subscription in self.sealed:
            return SecretsUnreadable()
        if subscription in self.unusable:
            return UnusableDestination("destination.webhook.tls.client_key cannot be used")
        return None if subscription in self.outdated else self._template


class FreezingCoordination(UnreliableCoordination):
    """Calls `after_claim` when it has claimed: time may pass before the worker goes on."""

    after_claim: Callable[[], None] = staticmethod(lambda: None)

    def claim(
        self,
        refs: Sequence[DeliveryRef],
        needed: Sequence[PermitRequest | None] = (),
        session: SessionClaim | None = None,
    ) -> list[ClaimAnswer]:
        answers = super().claim(refs, needed, session)
        self.after_claim()
        return answers


@dataclass(slots=True)
class Switch:
    """The offline switch, which the test sets."""

    offline: bool = False


class Scene:
    """A task handler among fakes; `retries` are the published ones."""

    def __init__(
        self, scripted: dict[bytes, Outcome] | None = None, retry: Retry | None = None, lease_s: float = LIMITS.lease_s
    ) -> None:
        self.senders = senders = SenderScene()
        self.coordination = FreezingCoordination()
        self.endpoint = Endpoint(scripted or {})
        self.templates = Templates(retry or Retry())
        self.switch = Switch()
        self.report_sender = ReportSender(
            self.coordination, monotonic=lambda: senders.now, lease_s=lease_s, lost_after_s=PATIENCE_S
        )
        self.retries: SimpleQueue[tuple[DeliveryRef, float]] = SimpleQueue()
        self.handler = TaskHandler(
            switch=self.switch,
            cache=self.templates,
            claims=self.coordination,
            exchanges=self.endpoint,
            report_sender=self.report_sender,
            observers=DeliveryObservers(log=DeliveryLog(worker="w1")),
            limits=senders.limits,
            clocks=senders.clocks,
        )

    def published(self, id_: str = "d1", batches: int = 3, subscription: str = "s1") -> DeliveryRef:
        one = ref(id_, lane=f"orders/{id_}", count=batches)
        one = msgspec.structs.replace(one, subscription=subscription)
        self.coordination.make_claimable([Publication(one, encode_batches(batches_of(batches)))])
        return one

    def deliver(self, *refs: DeliveryRef) -> None:
        self.handler.deliver(list(refs), lambda one, wait_s: self.retries.put((one, wait_s)))

    def ends(self, count: int) -> list[tuple[str, ReportKind, int]]:
        """The final reports of the attempts. Progress reports are left out, since their number depends on timing."""
        reports = wait_for_reports(self.coordination, count, but=ReportKind.PROGRESS)
        return [
            (report.delivery, report.kind, report.done) for report in reports if report.kind is not ReportKind.STARTED
        ]


Build = Callable[..., Scene]


@pytest.fixture
def build() -> Iterator[Build]:
    """Builds scenes whose report sender runs until the test ends."""
    scenes: list[Scene] = []

    def built(
        scripted: dict[bytes, Outcome] | None = None, retry: Retry | None = None, lease_s: float = LIMITS.lease_s
    ) -> Scene:
        scenes.append(Scene(scripted, retry, lease_s))
        scenes[-1].report_sender.start()
        return scenes[-1]

    yield built
    for scene in scenes:
        scene.report_sender.stop(PATIENCE_S)


def test_delivery_is_sent_and_reported(build: Build) -> None:
    scene = build()
    scene.deliver(scene.published())
    assert scene.endpoint.received == [b"body-0", b"body-1", b"body-2"]
    assert scene.ends(2) == [("d1", ReportKind.FINISHED, 3)]


def test_offline_worker_reports_stale_without_sending(build: Build) -> None:
    scene = build()
    scene.switch.offline = True
    scene.templates.unreadable.add("s2")
    scene.deliver(scene.published("d1"), scene.published("d2", subscription="s2"))
    assert (scene.endpoint.received, scene.retries.empty()) == ([], True)
    assert sorted(scene.ends(2)) == [("d1", ReportKind.STALE, 0), ("d2", ReportKind.STALE, 0)]


def test_every_delivery_of_a_task_is_reported(build: Build) -> None:
    scene = build()
    scene.deliver(*(scene.published(f"d{number}", batches=1) for number in range(3)))
    assert scene.ends(4) == [(f"d{number}", ReportKind.FINISHED, 1) for number in range(3)]


def test_worker_that_was_frozen_after_its_claim_sends_nothing(build: Build) -> None:
    scene = build()

    def freeze() -> None:
        scene.senders.now += LIMITS.lease_s

    scene.coordination.after_claim = freeze
    scene.deliver(scene.published())
    assert (scene.endpoint.received, scene.ends(2)) == ([], [("d1", ReportKind.FINISHED, 0)])


def test_second_copy_of_a_task_sends_nothing(build: Build) -> None:
    scene = build()
    one = scene.published()
    scene.deliver(one)
    scene.deliver(one)
    assert len(scene.endpoint.received) == 3


def test_delivery_whose_secrets_are_unreadable_is_reported_and_the_others_are_sent(build: Build) -> None:
    scene = build()
    scene.templates.sealed.add("s2")
    scene.deliver(scene.published("d1"), scene.published("d2", subscription="s2"))
    assert (scene.endpoint.received, scene.retries.empty()) == ([b"body-0", b"body-1", b"body-2"], True)
    assert sorted(scene.ends(2)) == [("d1", ReportKind.FINISHED, 3), ("d2", ReportKind.UNREADABLE, 0)]


def test_unusable_destination_is_reported_with_the_reason_and_the_others_are_sent(build: Build) -> None:
    scene = build()
    scene.templates.unusable.add("s2")
    scene.deliver(scene.published("d1"), scene.published("d2", subscription="s2"))
    reports = wait_for_reports(scene.coordination, 3, but=ReportKind.PROGRESS)
    (unusable,) = [report for report in reports if report.delivery == "d2"]
    assert unusable.kind is ReportKind.UNUSABLE
    assert unusable.detail == "destination.webhook.tls.client_key cannot be used"
    assert len(scene.endpoint.received) == 3


@pytest.mark.parametrize("how", ["outdated", "revoked"])
def test_stale_delivery_is_not_sent(build: Build, how: str) -> None:
    scene = build()
    one = scene.published()
    if how == "outdated":
        scene.templates.outdated.add("s1")
    else:
        scene.coordination.revoke(one.claim_keys())
    scene.deliver(one)
    assert (scene.endpoint.received, scene.ends(1)) == ([], [("d1", ReportKind.STALE, 0)])


def test_stale_delivery_does_not_stop_its_task(build: Build) -> None:
    scene = build()
    gone, good = scene.published("d1"), scene.published("d2")
    scene.coordination.revoke(gone.claim_keys())
    scene.deliver(gone, good)
    assert sorted(scene.ends(3)) == [("d1", ReportKind.STALE, 0), ("d2", ReportKind.FINISHED, 3)]


def test_retry_carries_the_failed_batch_only(build: Build) -> None:
    scene = build({b"body-1": answer(503)})
    scene.deliver(scene.published())
    again, wait_s = scene.retries.get(timeout=PATIENCE_S)
    assert (again.attempt, again.batches, again.records, wait_s) == (1, 1, 1, 5.0)
    (payload,) = scene.coordination.claim([again])
    assert isinstance(payload, bytes)
    assert decode_batches(payload) == batches_of(3)[1:2]


def test_retry_is_reported_before_it_is_published(build: Build) -> None:
    scene = build({b"body-1": answer(503)})
    seen: list[bool] = []
    one = scene.published()
    scene.handler.deliver([one], lambda _ref, _wait_s: seen.append(len(scene.ends(2)) == 1))
    assert seen == [True]


def test_retry_of_a_retry_goes_on_counting(build: Build) -> None:
    scene = build({b"body-1": answer(503)})
    scene.deliver(scene.published())
    again, _ = scene.retries.get(timeout=PATIENCE_S)
    scene.deliver(again)
    once_more, wait_s = scene.retries.get(timeout=PATIENCE_S)
    assert (once_more.attempt, wait_s, scene.endpoint.received[-2:]) == (2, 10.0, [b"body-1", b"body-1"])


def test_exhausted_delivery_is_not_published_again(build: Build) -> None:
    scene = build({b"body-1": no_answer(FailureCode.TIMEOUT)}, Retry(max_retries=0))
    scene.deliver(scene.published())
    assert (scene.ends(2), scene.retries.empty()) == ([("d1", ReportKind.EXHAUSTED, 1)], True)


def test_unreported_retry_is_not_published(build: Build) -> None:
    scene = build({b"body-0": answer(503)}, lease_s=0.0)
    scene.endpoint.on_request = scene.coordination.become_unavailable
    scene.deliver(scene.published())
    assert (scene.endpoint.received, scene.retries.empty()) == ([b"body-0"], True)


def test_unclaimed_delivery_is_not_sent(build: Build) -> None:
    scene = build()
    one = scene.published()
    scene.coordination.become_unavailable()
    with pytest.raises(QueueUnavailable):
        scene.deliver(one)
    assert scene.endpoint.received == []


def test_cached_subscription_is_sent_while_the_database_is_down(build: Build) -> None:
    scene = build()
    unread, known = scene.published("d1", subscription="s2"), scene.published("d2")
    scene.templates.unreadable.add("s2")
    scene.deliver(unread, known)
    assert (len(scene.endpoint.received), scene.ends(2)) == (3, [("d2", ReportKind.FINISHED, 3)])
    assert (scene.retries.get(timeout=PATIENCE_S), scene.retries.empty()) == ((unread, BACK_OFF_S), True)


def test_delivery_published_again_can_be_claimed(build: Build) -> None:
    scene = build()
    unread = scene.published("d1", subscription="s2")
    scene.templates.unreadable.add("s2")
    scene.deliver(unread, scene.published("d2"))
    again, _ = scene.retries.get(timeout=PATIENCE_S)
    scene.templates.unreadable.clear()
    scene.deliver(again)
    assert len(scene.endpoint.received) == 6


def test_task_without_any_template_goes_back_whole(build: Build) -> None:
    scene = build()
    scene.templates.unreadable.add("s1")
    with pytest.raises(StoreUnavailable):
        scene.deliver(scene.published("d1"), scene.published("d2"))
    assert (scene.endpoint.received, scene.retries.empty()) == ([], True)


CLOSED = Quota(subject="s1", rate=RateLimit(per_second=0.01, burst=1))
ONE_AT_A_TIME = Quota(subject="s1", max_concurrent=1)


def test_delivery_without_room_is_published_again_unchanged(build: Build, live_metrics: LiveMetrics) -> None:
    scene = build()
    scene.templates.limit(CLOSED)
    first, second = scene.published("d1", batches=1), scene.published("d2", batches=1)
    scene.deliver(first)
    scene.deliver(second)
    again, wait_s = scene.retries.get_nowait()
    assert (scene.endpoint.received, again) == ([b"body-0"], second)
    assert 99.0 < wait_s < 100.0 * (1 + SPREAD)
    reports = wait_for_reports(scene.coordination, 3, but=ReportKind.PROGRESS)
    (waiting,) = [report for report in reports if report.delivery == "d2"]
    assert (waiting.kind, waiting.wait_s, waiting.detail) == (ReportKind.WAITING, wait_s, "rate_limit")
    assert live_metrics.read().value("webhookd_deliveries_ended_total", kind="waiting") == 1


def test_short_waits_are_reported_together_and_the_delivery_stays_claimable(build: Build) -> None:
    scene = build()
    scene.templates.limit(ONE_AT_A_TIME)
    permit = PermitRequest(quotas=(ONE_AT_A_TIME,), lasts_s=PATIENCE_S)
    (held,) = scene.coordination.claim([scene.published("other", batches=1)], [permit])
    assert isinstance(held, Permitted)
    again, waits = scene.published("d1", batches=1), []
    for _ in range(10):
        scene.deliver(again)
        again, wait_s = scene.retries.get_nowait()
        waits.append(wait_s)
    scene.coordination.send_reports(ReportFlush(reports={}, permits=[UsedPermit(permit=held.permit, taken=(0,))]))
    scene.deliver(again)
    reports = wait_for_reports(scene.coordination, 5, but=ReportKind.PROGRESS)
    kinds = [report.kind for report in reports if report.delivery == "d1"]
    assert sum(waits) == pytest.approx(10 * FULL_WAIT_S * (1 + SPREAD * MIDDLE))
    assert sorted(kinds) == [ReportKind.STARTED, ReportKind.FINISHED, ReportKind.WAITING, ReportKind.WAITING]


def test_permit_is_given_back_with_the_report(build: Build) -> None:
    scene = build()
    scene.templates.limit(ONE_AT_A_TIME)
    for number in range(3):
        scene.deliver(scene.published(f"d{number}", batches=1))
    assert (len(scene.endpoint.received), scene.retries.empty()) == (3, True)


def test_delivery_without_room_does_not_stop_its_task(build: Build) -> None:
    scene = build()
    scene.templates.limit(ONE_AT_A_TIME)
    scene.deliver(*(scene.published(f"d{number}", batches=1) for number in range(3)))
    refused = [scene.retries.get_nowait()[0].id for _ in range(2)]
    assert (scene.endpoint.received, refused) == ([b"body-0"], ["d1", "d2"])
