"""A delivery whose quota is used up for longer than the claim timeout and the lease, between a worker and ingest.

Real: Redis, the task handler, the report sender, the deliveries in flight and their timeouts. The test moves the clock of
worker and ingest, and keeps the tasks that the worker publishes. Another delivery holds the quota until the test ends it.
"""

import uuid
from collections.abc import Iterator

import msgspec
import pytest

from tests.harness.coordination import lose_everything
from tests.harness.delivery_senders import OK, PATIENCE_S, SenderScene, template
from tests.harness.lanes import FAILED, about, fill, in_flight_deliveries, paced_accumulator
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_url import parse
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.dispatch.coordination import Publication, ReportFlush
from webhookd.flow.dispatch.delivery import Delivery, DeliveryStage
from webhookd.flow.dispatch.request_quota import Permit, PermitRequest, Permitted, Quota, UsedPermit
from webhookd.flow.dispatch.task_message import DeliveryRef
from workers.delivery.delivery_sender import DeliverySender, FoundTemplate
from workers.delivery.report_sender import ReportSender
from workers.delivery.task_handler import TaskHandler

ONE_AT_A_TIME = Quota(subject="host:example.com", max_concurrent=1)
REPLY = "ingest"
HELD_S = 300.0
"""How long the quota is used up: many times as long as the timeouts in tests/harness/lanes.py, by the moved clock."""


class Worker:
    """A task handler on Redis. Its endpoint acknowledges every request; `tasks` are those that it has published."""

    offline = False

    def __init__(self, coordination: RedisCoordination, senders: SenderScene) -> None:
        self.sent = 0
        self.tasks: list[tuple[float, DeliveryRef]] = []
        self.senders = senders
        self.report_sender = ReportSender(
            coordination, monotonic=lambda: senders.now, lease_s=senders.limits.lease_s, lost_after_s=PATIENCE_S
        )
        self.handler = TaskHandler(
            switch=self,
            cache=self,
            claims=coordination,
            exchanges=self,
            report_sender=self.report_sender,
            limits=senders.limits,
            clocks=senders.clocks,
        )
        self.report_sender.start()

    def templates(self, refs: list[DeliveryRef]) -> list[FoundTemplate]:
        return [msgspec_replace(one.version) for one in refs]

    def submit(self, sender: DeliverySender) -> None:
        while sender.advance(OK if self.sent and sender.done < len(sender.batches) else None) is not None:
            self.sent += 1

    def submit_later(self, sender: DeliverySender, delay_s: float) -> None:
        raise AssertionError(f"{sender} waits {delay_s} s")

    def run_task(self) -> None:
        """Move the clock to the first task and run it."""
        self.tasks.sort(key=lambda task: task[0])
        self.senders.now, one = self.tasks.pop(0)
        now = self.senders.now
        self.handler.deliver([one], lambda again, wait_s: self.tasks.append((now + wait_s, again)))
