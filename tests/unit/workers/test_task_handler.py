"""What becomes of a parcel: claimed, sent, reported, and the failed batch published again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue

import msgspec
import pytest

from tests.harness.delivery_senders import (
    BOUNDS,
    OK,
    PATIENCE_S,
    ForgetfulBoard,
    Hands,
    answer,
    batches_of,
    hear,
    plan,
    ref,
    silence,
)
from webhookd.errors import QueueUnavailable, StoreUnavailable
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.attempt.exchange_result import FailureCode, Outcome
from webhookd.flow.batching.batch import decode_batches, encode_batches
from webhookd.flow.dispatch.coordination import Publication
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Retry
from workers.delivery.delivery_sender import RequestTemplate
from workers.delivery.report_sender import ReportSender
from workers.delivery.task_handler import BACK_OFF_S, RequestSequence, TaskHandler


class Endpoint:
    """Sends at once, and answers as it was told to: outcomes by the request's body, OK for the others."""

    def __init__(self, told: dict[bytes, Outcome]) -> None:
        self.told = told
        self.received: list[bytes] = []
        self.on_request: Callable[[], None] = lambda: None

    def submit(self, sender: RequestSequence) -> None:
        request = sender.advance(None)
        while request is not None:
            body = Hands.body_of(request)
            self.received.append(body)
            self.on_request()
            request = sender.advance(self.told.get(body, OK))


class Known:
    """The plans of every subscription but those forgotten, which are stale, and those unread: the database is away."""

    def __init__(self, retry: Retry) -> None:
        self.forgotten: set[str] = set()
        self.unread: set[str] = set()
        self._plan = plan(retry)

    def plans(self, refs: list[DeliveryRef]) -> list[RequestTemplate | StoreUnavailable | None]:
        return [self._answer(one.subscription) for one in refs]

    def _answer(self, subscription: str) -> RequestTemplate | StoreUnavailable | None:
        if subscription in self.unread:
            return StoreUnavailable()
        return None if subscription in self.forgotten else self._plan


@dataclass(slots=True)
class Switch:
    """Turned by the test."""

    offline: bool = False


class Scene:
    """A desk among fakes; `retries` are the published ones."""

    def __init__(
        self, told: dict[bytes, Outcome] | None = None, retry: Retry | None = None, lease_s: float = BOUNDS.lease_s
    ) -> None:
        hands = Hands()
        self.coordination = ForgetfulBoard()
        self.endpoint = Endpoint(told or {})
        self.known = Known(retry or Retry())
        self.switch = Switch()
        self.reporter = ReportSender(
            self.coordination, monotonic=lambda: hands.now, lease_s=lease_s, longest_s=PATIENCE_S
        )
        self.retries: SimpleQueue[tuple[DeliveryRef, float]] = SimpleQueue()
        self.handler = TaskHandler(
            switch=self.switch,
            cache=self.known,
            claims=self.coordination,
            exchanges=self.endpoint,
            reporter=self.reporter,
            bounds=hands.bounds,
            clocks=hands.clocks,
        )

    def offered(self, id_: str = "d1", batches: int = 3, subscription: str = "s1") -> DeliveryRef:
        one = ref(id_, lane=f"orders/{id_}", count=batches)
        one = msgspec.structs.replace(one, subscription=subscription)
        self.coordination.offer([Publication(one, encode_batches(batches_of(batches)))])
        return one

    def deliver(self, *refs: DeliveryRef) -> None:
        self.handler.deliver(list(refs), lambda one, wait_s: self.retries.put((one, wait_s)))

    def ends(self, count: int) -> list[tuple[str, ReportKind, int]]:
        """The last reports of the attempts, claims left out; of progress the reporter tells when it comes to it."""
        reports = hear(self.coordination, count, but=ReportKind.PROGRESS)
        return [
            (report.delivery, report.kind, report.done) for report in reports if report.kind is not ReportKind.STARTED
        ]


Build = Callable[..., Scene]


@pytest.fixture
def build() -> Iterator[Build]:
    """Builds scenes whose reporter runs until the end."""
    scenes: list[Scene] = []

    def built(
        told: dict[bytes, Outcome] | None = None, retry: Retry | None = None, lease_s: float = BOUNDS.lease_s
    ) -> Scene:
        scenes.append(Scene(told, retry, lease_s))
        scenes[-1].reporter.start()
        return scenes[-1]

    yield built
    for scene in scenes:
        scene.reporter.stop(PATIENCE_S)


def test_delivery_is_sent_and_reported(build: Build) -> None:
    scene = build()
    scene.deliver(scene.offered())
    assert scene.endpoint.received == [b"body-0", b"body-1", b"body-2"]
    assert scene.ends(2) == [("d1", ReportKind.FINISHED, 3)]


def test_offline_worker_refuses_without_sending(build: Build) -> None:
    scene = build()
    scene.switch.offline = True
    scene.known.unread.add("s2")
    scene.deliver(scene.offered("d1"), scene.offered("d2", subscription="s2"))
    assert (scene.endpoint.received, scene.retries.empty()) == ([], True)
    assert sorted(scene.ends(2)) == [("d1", ReportKind.STALE, 0), ("d2", ReportKind.STALE, 0)]


def test_every_delivery_of_a_parcel_is_reported(build: Build) -> None:
    scene = build()
    scene.deliver(*(scene.offered(f"d{number}", batches=1) for number in range(3)))
    assert scene.ends(4) == [(f"d{number}", ReportKind.FINISHED, 1) for number in range(3)]


def test_second_copy_of_a_task_sends_nothing(build: Build) -> None:
    scene = build()
    one = scene.offered()
    scene.deliver(one)
    scene.deliver(one)
    assert len(scene.endpoint.received) == 3


@pytest.mark.parametrize("how", ["forgotten", "revoked"])
def test_stale_delivery_never_goes(build: Build, how: str) -> None:
    scene = build()
    one = scene.offered()
    if how == "forgotten":
        scene.known.forgotten.add("s1")
    else:
        scene.coordination.revoke(one.claim_keys())
    scene.deliver(one)
    assert (scene.endpoint.received, scene.ends(1)) == ([], [("d1", ReportKind.STALE, 0)])


def test_stale_delivery_does_not_stop_its_parcel(build: Build) -> None:
    scene = build()
    gone, good = scene.offered("d1"), scene.offered("d2")
    scene.coordination.revoke(gone.claim_keys())
    scene.deliver(gone, good)
    assert sorted(scene.ends(3)) == [("d1", ReportKind.STALE, 0), ("d2", ReportKind.FINISHED, 3)]


def test_retry_carries_the_failed_batch_only(build: Build) -> None:
    scene = build({b"body-1": answer(503)})
    scene.deliver(scene.offered())
    again, wait_s = scene.retries.get(timeout=PATIENCE_S)
    assert (again.attempt, again.batches, again.records, wait_s) == (1, 1, 1, 5.0)
    (payload,) = scene.coordination.claim([again])
    assert isinstance(payload, bytes)
    assert decode_batches(payload) == batches_of(3)[1:2]


def test_ingest_hears_of_a_retry_before_it_is_published(build: Build) -> None:
    scene = build({b"body-1": answer(503)})
    seen: list[bool] = []
    one = scene.offered()
    scene.handler.deliver([one], lambda _ref, _wait_s: seen.append(len(scene.ends(2)) == 1))
    assert seen == [True]


def test_retry_of_a_retry_goes_on_counting(build: Build) -> None:
    scene = build({b"body-1": answer(503)})
    scene.deliver(scene.offered())
    again, _ = scene.retries.get(timeout=PATIENCE_S)
    scene.deliver(again)
    once_more, wait_s = scene.retries.get(timeout=PATIENCE_S)
    assert (once_more.attempt, wait_s, scene.endpoint.received[-2:]) == (2, 10.0, [b"body-1", b"body-1"])


def test_exhausted_delivery_is_not_published_again(build: Build) -> None:
    scene = build({b"body-1": silence(FailureCode.TIMEOUT)}, Retry(max_retries=0))
    scene.deliver(scene.offered())
    assert (scene.ends(2), scene.retries.empty()) == ([("d1", ReportKind.EXHAUSTED, 1)], True)


def test_retry_nobody_heard_of_is_not_published(build: Build) -> None:
    scene = build({b"body-0": answer(503)}, lease_s=0.0)
    scene.endpoint.on_request = scene.coordination.leave
    scene.deliver(scene.offered())
    assert (scene.endpoint.received, scene.retries.empty()) == ([b"body-0"], True)


def test_nothing_is_sent_unclaimed(build: Build) -> None:
    scene = build()
    one = scene.offered()
    scene.coordination.leave()
    with pytest.raises(QueueUnavailable):
        scene.deliver(one)
    assert scene.endpoint.received == []


def test_known_delivery_goes_while_the_database_is_away(build: Build) -> None:
    scene = build()
    unread, known = scene.offered("d1", subscription="s2"), scene.offered("d2")
    scene.known.unread.add("s2")
    scene.deliver(unread, known)
    assert (len(scene.endpoint.received), scene.ends(2)) == (3, [("d2", ReportKind.FINISHED, 3)])
    assert (scene.retries.get(timeout=PATIENCE_S), scene.retries.empty()) == ((unread, BACK_OFF_S), True)


def test_unread_delivery_is_still_to_be_claimed(build: Build) -> None:
    scene = build()
    unread = scene.offered("d1", subscription="s2")
    scene.known.unread.add("s2")
    scene.deliver(unread, scene.offered("d2"))
    again, _ = scene.retries.get(timeout=PATIENCE_S)
    scene.known.unread.clear()
    scene.deliver(again)
    assert len(scene.endpoint.received) == 6


def test_parcel_without_any_plan_is_given_back_whole(build: Build) -> None:
    scene = build()
    scene.known.unread.add("s1")
    with pytest.raises(StoreUnavailable):
        scene.deliver(scene.offered("d1"), scene.offered("d2"))
    assert (scene.endpoint.received, scene.retries.empty()) == ([], True)
