"""Publishes parcels off the ingest loop's thread: first the offer on the board, then the task.

A publish that failed is unknown, not failed: the same delivery goes out again under the same id, and the claim makes
sure that only one copy of it is sent. A revocation that failed is tried again until it succeeds or its lane is offered
anew: nothing that was queued under an old version may leave once Redis is back.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from celery import Celery

from webhookd import clock, logs
from webhookd.errors import QueueUnavailable
from webhookd.flow.dispatch.coordination import Publication
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.task_message import DeliveryRef, describe, ref_to_wire
from workers.task_names import DELIVER

OFFER_BYTES = 8 * 1024 * 1024
"""Payloads sent to Redis in one call; more would hold up everyone else's."""

REVOKE_RETRY_S = 0.5
"""After a revocation that Redis did not take."""

_log = logs.get(__name__)


class Offers(Protocol):
    """Where deliveries are made claimable."""

    def make_claimable(self, publications: Sequence[Publication]) -> None:
        """Make them claimable. Raises QueueUnavailable."""

    def revoke(self, claim_keys: Sequence[str]) -> None:
        """Make what is queued for these lanes stale. Raises QueueUnavailable."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One delivery to publish, with what the loop knew when it handed it over."""

    delivery: Delivery
    ref: DeliveryRef
    alone: bool


class TaskPublisher:
    """One thread, first in first out: a revocation never overtakes an offer."""

    def __init__(self, app: Celery, coordination: Offers, *, on_unknown: Callable[[Sequence[Delivery]], None]) -> None:
        self._app = app
        self._coordination = coordination
        self._on_unknown = on_unknown
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._pending_revocations: set[str] = set()
        self._thread = Thread(target=self._run, name="publisher", daemon=True)
        self._begun = 0  # written by the loop's thread only
        self._ended = 0  # written by the publisher's thread only
        self.took_s = 0.0
        """How long the last publication took: on a busy machine longer, and then fewer are worth more."""

    @property
    def waiting(self) -> int:
        """How many calls of `publish` are not through yet."""
        return self._begun - self._ended

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Publish what waits and end; blocks for at most `budget_s`."""
        self._jobs.put(None)
        self._thread.join(budget_s)

    def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Send these on their way; `unknown` hears of those that may not have left."""
        self._begun += 1
        self._jobs.put(lambda: self._publish(outgoing))

    def revoke(self, claim_keys: Sequence[str]) -> None:
        """Make what is queued for these lanes stale, as soon as Redis can be reached."""
        if claim_keys:
            self._jobs.put(lambda: self._pending_revocations.update(claim_keys))

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()
            self._revoke()

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._jobs.get(timeout=REVOKE_RETRY_S if self._pending_revocations else None)
        except Empty:
            return _no_job

    def _revoke(self) -> None:
        if not self._pending_revocations:
            return
        try:
            self._coordination.revoke(sorted(self._pending_revocations))
        except QueueUnavailable as error:
            _log.warning("revoke_failed", code=error.code, detail=error.detail, lanes=len(self._pending_revocations))
        else:
            self._pending_revocations.clear()

    def _publish(self, outgoing: Sequence[Outgoing]) -> None:
        sent = 0
        began = clock.monotonic()
        try:
            for offers in _in_redis_calls([(out, Publication(out.ref, out.delivery.payload())) for out in outgoing]):
                self._coordination.make_claimable([offer for _, offer in offers])
                # Their slots hold the new epochs now: to revoke them would take what was just offered.
                self._pending_revocations.difference_update(
                    slot for _, offer in offers for slot in offer.ref.claim_keys()
                )
                for queue, task in _tasks(offers):
                    self._send(queue, task)
                sent += len(offers)
        except Exception as error:  # noqa: BLE001 - whatever it is, the deliveries' fate is unknown
            _log.warning(
                "publish_failed", code=QueueUnavailable.code, detail=str(error), deliveries=len(outgoing) - sent
            )
            self._on_unknown([out.delivery for out in outgoing[sent:]])
        finally:
            self.took_s = clock.monotonic() - began
            self._ended += 1

    def _send(self, queue: str, task: Sequence[DeliveryRef]) -> None:
        self._app.send_task(
            DELIVER,
            args=[[ref_to_wire(ref) for ref in task]],
            queue=queue,
            argsrepr=describe(task),
            kwargsrepr="{}",
            retry=False,
            ignore_result=True,
        )


def _no_job() -> None:
    """Only the revocations are due."""


def _in_redis_calls(offers: list[tuple[Outgoing, Publication]]) -> Iterator[list[tuple[Outgoing, Publication]]]:
    call: list[tuple[Outgoing, Publication]] = []
    size = 0
    for pair in offers:
        call.append(pair)
        size += len(pair[1].payload)
        if size >= OFFER_BYTES:
            yield call
            call, size = [], 0
    if call:
        yield call


def _tasks(offers: list[tuple[Outgoing, Publication]]) -> Iterator[tuple[str, list[DeliveryRef]]]:
    """Small deliveries to one queue share a task; those that are to be alone get one of their own."""
    together: defaultdict[str, list[DeliveryRef]] = defaultdict(list)
    for out, _ in offers:
        if out.alone:
            yield out.delivery.queue, [out.ref]
        else:
            together[out.delivery.queue].append(out.ref)
    yield from together.items()
