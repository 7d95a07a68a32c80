"""A delivery whose quota is used up for longer than the claim timeout and the lease, between a worker and ingest.

Real: Redis, the task handler, the report sender, the deliveries in flight and their timeouts. The test moves the clock
of worker and ingest, and keeps the tasks that the worker publishes. Another delivery holds the quota meanwhile.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from tests.harness.coordination import lose_everything
from tests.harness.delivery_senders import OK, PATIENCE_S, SenderScene, answer, template
from tests.harness.lanes import TIMEOUTS, fill, in_flight_deliveries, lane_of, paced_accumulator
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_url import parse
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.attempt.exchange_result import Outcome
from webhookd.flow.dispatch.coordination import Publication, ReportFlush
from webhookd.flow.dispatch.request_quota import Permit, PermitRequest, Permitted, Quota, UsedPermit
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_log import DeliveryLog
from workers.delivery.delivery_observers import DeliveryObservers
from workers.delivery.delivery_sender import DeliverySender, TemplateResult
from workers.delivery.report_sender import ReportSender
from workers.delivery.task_handler import REPORTED_S, TaskHandler

QUOTA = Quota(subject="host:example.com", max_concurrent=1)
REPLY = "ingest"

HELD_S = 3 * (TIMEOUTS.claim_timeout_s + TIMEOUTS.lease_s + TIMEOUTS.request_deadline_s)
"""How long the quota is used up, by the clock that the test moves: long enough for each timeout to run out twice."""


class Worker:
    """A task handler on Redis; `tasks` are those that it has published, each with the time at which it is due."""

    offline = False

    def __init__(self, coordination: RedisCoordination, senders: SenderScene) -> None:
        self.answers: list[Outcome] = []
        self.sent = 0
        self.tasks: list[tuple[float, DeliveryRef]] = []
        self.senders = senders
        self.report_sender = ReportSender(
            coordination, monotonic=lambda: senders.now, lease_s=senders.limits.lease_s, lost_after_s=PATIENCE_S
        )
        self._handler = TaskHandler(
            switch=self,
            cache=self,
            claims=coordination,
            exchanges=self,
            report_sender=self.report_sender,
            observers=DeliveryObservers(log=DeliveryLog(worker="w1")),
            limits=senders.limits,
            clocks=senders.clocks,
        )
        self._template = replace(template(), quotas=(QUOTA,))

    def templates(self, refs: list[DeliveryRef]) -> list[TemplateResult]:
        """One template for all."""
        return [self._template for _ in refs]

    def in_memory(self, refs: Sequence[DeliveryRef]) -> bool:
        """It has one for each."""
        return bool(refs)

    def submit(self, sender: DeliverySender) -> None:
        """Send at once; the endpoint acknowledges, unless there is another answer for it."""
        request = sender.advance(None)
        while request is not None:
            self.sent += 1
            request = sender.advance(self.answers.pop(0) if self.answers else OK)

    def submit_later(self, sender: DeliverySender, delay_s: float) -> None:
        """Fails: without a rate no request waits in the worker."""
        raise AssertionError(f"{sender} waits {delay_s} s")

    def run_task(self) -> None:
        """Run the only task, at its time."""
        ((due_at, one),) = self.tasks
        self.senders.now = due_at
        self.tasks.clear()
        self._handler.deliver([one], lambda again, wait_s: self.tasks.append((due_at + wait_s, again)))


class Scene:
    """A delivery of one record that ingest has published, and the worker that has its task."""

    def __init__(self, coordination: RedisCoordination) -> None:
        self.coordination = coordination
        self.senders = SenderScene()
        self.worker = Worker(coordination, self.senders)
        self.in_flight = in_flight_deliveries()
        self.accumulator = paced_accumulator([QUOTA])
        self._after = "0"
        fill(self.accumulator, 0, [7])
        (self.delivery,) = self.accumulator.ready(self.senders.now)
        one = self.delivery.ref(REPLY)
        coordination.make_claimable([Publication(one, self.delivery.payload())])
        self.in_flight.published(self.delivery, self.senders.now)
        self.worker.tasks = [(self.senders.now, one)]
        self.worker.report_sender.start()

    def hold_quota(self) -> Permit:
        """Another delivery takes the quota."""
        other = DeliveryRef(
            id="other",
            subscription="other",
            version=1,
            lanes={"a/0": "e"},
            attempt=0,
            records=1,
            batches=1,
            reply_to="x",
        )
        self.coordination.make_claimable([Publication(other, b"payload")])
        (held,) = self.coordination.claim([other], [PermitRequest(quotas=(QUOTA,), lasts_s=600.0)])
        assert isinstance(held, Permitted)
        return held.permit

    def give_back(self, permit: Permit) -> None:
        """The other delivery ends."""
        self.coordination.send_reports(ReportFlush(reports={}, permits=[UsedPermit(permit=permit, taken=(1,))]))

    def settle(self, until: ReportKind) -> None:
        """Apply the worker's reports until one of this kind has come."""
        kinds: list[ReportKind] = []
        while until not in kinds:
            reports, self._after = self.coordination.read_reports(REPLY, self._after, PATIENCE_S)
            assert reports, f"no {until.name} came, only {kinds}"
            kinds += [report.kind for report in reports]
            for report in reports:
                self.in_flight.apply(report, self.senders.now)

    def refused(self) -> bool:
        """Run the task, which is published again; returns whether the worker has reported that."""
        self.worker.run_task()
        ((_, again),) = self.worker.tasks
        if again.unreported_s:
            return False
        self.settle(ReportKind.WAITING)
        return True

    def wait_while_the_quota_is_used_up(self) -> None:
        """Run the task again and again; ingest neither publishes a copy nor believes that a worker was lost."""
        end, tries, reported = self.senders.now + HELD_S, 0, 0
        while self.senders.now < end:
            tries += 1
            reported += self.refused()
            assert self.in_flight.overdue(self.senders.now) == ([], [])
        assert self.accumulator.pace.why_held(self.senders.now) == "max_concurrent_requests"
        assert reported <= HELD_S / REPORTED_S < tries / 4


@pytest.fixture
def scene(redis_url: str) -> Iterator[Scene]:
    """The scene under a key prefix of its own."""
    prefix = f"waiting-test:{uuid.uuid4().hex}:"
    coordination = RedisCoordination(parse(redis_url), prefix)
    made = Scene(coordination)
    yield made
    made.worker.report_sender.stop(PATIENCE_S)
    coordination.close()
    lose_everything(redis_url, prefix)


def test_first_attempt_that_waits_for_long_is_sent_once(scene: Scene) -> None:
    held = scene.hold_quota()
    scene.wait_while_the_quota_is_used_up()
    scene.give_back(held)
    scene.worker.run_task()
    scene.settle(ReportKind.FINISHED)
    assert (scene.worker.sent, scene.worker.tasks, len(scene.in_flight)) == (1, [], 0)
    assert lane_of(scene.accumulator).ledger.watermark == 8


def test_retry_that_waits_for_long_is_sent_once_and_its_worker_is_not_lost(scene: Scene) -> None:
    scene.worker.answers = [answer(500)]
    scene.worker.run_task()
    scene.settle(ReportKind.RETRY)
    held = scene.hold_quota()
    scene.wait_while_the_quota_is_used_up()
    scene.give_back(held)
    scene.worker.run_task()
    scene.settle(ReportKind.FINISHED)
    lane = lane_of(scene.accumulator)
    assert (scene.worker.sent, scene.worker.tasks, len(scene.in_flight)) == (2, [], 0)
    assert (lane.ledger.watermark, lane.worker_losses, scene.delivery.early_attempts) == (8, 0, 0)


def test_delivery_that_nobody_tries_any_more_is_published_again(scene: Scene) -> None:
    scene.hold_quota()
    reported = [scene.refused() for _ in range(5)]
    assert reported == [False, False, False, False, True]
    later = scene.senders.now + 2 * TIMEOUTS.claim_timeout_s
    assert scene.in_flight.overdue(later) == ([scene.delivery], [])
