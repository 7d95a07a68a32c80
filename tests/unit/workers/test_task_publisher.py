"""Revocations while Redis is down. Real: the publisher's thread. Doubled: Redis, by the store in memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.harness.delivery_senders import PATIENCE_S, UnreliableCoordination
from tests.harness.lanes import accumulator, fill
from tests.harness.metrics import LiveMetrics
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.coordination import ClaimDenied, Publication, Push
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.ingest.dispatch.task_publisher import Outgoing, Takeover, TaskPublisher
from workers.task_names import FIRST, SESSION


class StuckCoordination(UnreliableCoordination):
    """Puts the name of each call into `done`."""

    def __init__(self) -> None:
        super().__init__()
        self.done: SimpleQueue[str] = SimpleQueue()
        self.refuses_revocations = False

    def make_claimable(self, publications: Sequence[Publication], push: Push | None = None) -> bool:
        pushed = super().make_claimable(publications, push)
        self.done.put("make_claimable")
        return pushed

    def revoke(self, claim_keys: Sequence[str]) -> None:
        if self.refuses_revocations:
            self.refusals.put("revoke")
            raise QueueUnavailable
        super().revoke(claim_keys)
        self.done.put("revoke")


class Scene:
    """A publisher, and a coordination store that may refuse calls."""

    def __init__(self, folder: Path, *, sessions: bool = True) -> None:
        settings = Settings(redis_url="memory://", database_url=f"sqlite:///{folder}/none.db")
        self.coordination = StuckCoordination()
        self.unknown: SimpleQueue[Delivery] = SimpleQueue()
        self.app = build_celery(settings)
        self.refused: set[str] = set()
        self.publisher = TaskPublisher(
            self.app,
            self.coordination,
            on_unknown=self._failed,
            may_publish=lambda id_: id_ not in self.refused,
            sessions=sessions,
        )
        self.publisher.start()

    def _failed(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.unknown.put(delivery)

    def publish(self, offset: int = 0) -> DeliveryRef:
        """A delivery of the one lane, under an epoch of its own."""
        made = accumulator()
        fill(made, 0, [offset])
        (delivery,) = made.ready(1e6)
        delivery.queue = FIRST
        ref = delivery.ref(f"ingest-{offset}")
        self.publisher.publish([Outgoing(delivery, ref, alone=False)])
        return ref

    def published(self, offset: int = 0) -> DeliveryRef:
        ref = self.publish(offset)
        assert self.coordination.done.get(timeout=PATIENCE_S) == "make_claimable"
        return ref

    def may_stay(self) -> list[int]:
        """What the tasks in the queue for first attempts say of sessions."""
        self.publisher.stop(PATIENCE_S)  # it publishes what waits
        found = []
        with self.app.connection_for_read() as connection:
            while message := connection.default_channel.basic_get(FIRST, no_ack=True):
                found.append(message.headers[SESSION])
        return found

    def close(self) -> None:
        """End the thread."""
        self.publisher.stop(PATIENCE_S)
        with self.app.connection_for_write() as connection:
            connection.default_channel.queue_purge(FIRST)  # the transport's memory outlives the application
        self.app.close()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.close()


def test_revoked_delivery_is_stale(scene: Scene) -> None:
    ref = scene.published()
    scene.publisher.revoke(ref.claim_keys())
    assert scene.coordination.done.get(timeout=PATIENCE_S) == "revoke"
    assert scene.coordination.claim([ref]) == [ClaimDenied.STALE]


def test_revocation_waits_while_redis_is_down(scene: Scene) -> None:
    ref = scene.published()
    scene.coordination.become_unavailable()
    scene.publisher.revoke(ref.claim_keys())
    assert scene.coordination.refusals.get(timeout=PATIENCE_S) == "revoke"
    scene.coordination.unavailable = False
    assert scene.coordination.done.get(timeout=PATIENCE_S) == "revoke"
    assert scene.coordination.claim([ref]) == [ClaimDenied.STALE]


def test_late_revocation_does_not_revoke_later_publications(scene: Scene) -> None:
    old = scene.published()
    scene.coordination.refuses_revocations = True
    scene.publisher.revoke(old.claim_keys())
    assert scene.coordination.refusals.get(timeout=PATIENCE_S) == "revoke"
    new = scene.published(1)
    scene.coordination.refuses_revocations = False
    scene.publisher.revoke(["s1/elsewhere/0"])
    assert scene.coordination.done.get(timeout=PATIENCE_S) == "revoke"
    assert not isinstance(scene.coordination.claim([new])[0], ClaimDenied)


def test_marker_is_reported_after_the_revocations_before_it(scene: Scene) -> None:
    ref = scene.published()
    scene.coordination.refuses_revocations = True
    scene.publisher.revoke(ref.claim_keys())
    scene.publisher.mark("ingest", "marker")
    assert scene.coordination.refusals.get(timeout=PATIENCE_S) == "revoke"
    assert scene.coordination.refusals.get(timeout=PATIENCE_S) == "revoke"
    assert scene.coordination.read_reports("ingest", "0", 0.0)[0] == []
    scene.coordination.refuses_revocations = False
    reports, _ = scene.coordination.read_reports("ingest", "0", PATIENCE_S)
    assert [(report.kind, report.delivery) for report in reports] == [(ReportKind.FINISHED, "marker")]
    assert scene.coordination.claim([ref]) == [ClaimDenied.STALE]


def test_claims_of_the_process_before_are_revoked_before_the_marker(scene: Scene) -> None:
    ref, claimed = scene.published(), SimpleQueue[Sequence[str]]()
    scene.coordination.claim([ref])
    scene.coordination.become_unavailable()
    scene.publisher.revoke_others(Takeover({ref.subscription}, {}, claimed.put))
    scene.publisher.mark("ingest", "marker")
    assert [scene.coordination.refusals.get(timeout=PATIENCE_S) for _ in range(2)] == ["revoke_others"] * 2
    assert claimed.empty()
    scene.coordination.unavailable = False
    reports, _ = scene.coordination.read_reports("ingest", "0", PATIENCE_S)
    assert [report.delivery for report in reports] == ["marker"]
    assert claimed.get_nowait() == [ref.id]
    assert not scene.coordination.are_current([ref])[0]


def test_late_takeover_does_not_revoke_later_publications(scene: Scene) -> None:
    old = scene.published()
    scene.coordination.become_unavailable()
    scene.publisher.revoke_others(Takeover({old.subscription}, {}, lambda _: None))
    assert scene.coordination.refusals.get(timeout=PATIENCE_S) == "revoke_others"
    scene.coordination.unavailable = False
    new = scene.published(1)
    assert not isinstance(scene.coordination.claim([new])[0], ClaimDenied)


def test_delivery_under_policies_that_are_too_old_is_not_published(scene: Scene) -> None:
    scene.refused = {accumulator().subscription.id}
    ref = scene.publish()
    assert scene.unknown.get(timeout=PATIENCE_S).id == ref.id
    assert scene.coordination.claim([ref]) == [ClaimDenied.STALE]
    scene.refused = set()
    assert not isinstance(scene.coordination.claim([scene.published()])[0], ClaimDenied)


def test_published_task_is_measured(scene: Scene, live_metrics: LiveMetrics) -> None:
    scene.published()
    scene.publisher.stop(PATIENCE_S)  # it publishes what waits
    seen = live_metrics.read()
    count = "webhookd_call_duration_seconds_count"
    assert [(one.labels["service"], one.labels["operation"], one.value) for one in seen.series(count)] == [
        ("redis", "publish", 1)
    ]


@pytest.mark.parametrize("sessions", [True, False])
def test_task_may_stay_open_only_if_this_process_has_sessions(tmp_path: Path, *, sessions: bool) -> None:
    scene = Scene(tmp_path, sessions=sessions)
    scene.published()
    assert scene.may_stay() == [int(sessions)]
    scene.close()
