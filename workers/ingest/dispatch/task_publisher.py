"""Publishes deliveries on a thread of its own: first it makes them claimable in Redis, then it sends the Celery tasks.

While a delivery session is open (flow/dispatch/delivery_session.py), the first step also pushes deliveries to it.

When a publication fails it is unknown whether the deliveries were published. They are published again under the same
ids, and the claim makes sure that only one copy is sent. A revocation that fails is repeated until it succeeds, or
until its lane is published again: no task of an old version may be executed once Redis is back.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Protocol

from celery import Celery

from webhookd import clock, logs
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.dispatch.coordination import Publication, Push, ReportFlush
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.task_message import DeliveryRef, describe, ref_to_wire
from webhookd.metrics.catalogue.ingest import DELIVERIES_PUSHED
from webhookd.metrics.service_calls import REDIS, measured
from workers.task_names import DELIVER, FIRST, RETRY, SESSION, VERIFY

REDIS_CALL_BYTES = 8 * 1024 * 1024
"""Payloads that are sent to Redis in one call; more would delay the calls of other processes."""

REVOKE_RETRY_S = 0.5
"""The pause after a revocation that failed."""

_log = logs.get(__name__)


class Claims(Protocol):
    """The part of the coordination store that makes deliveries claimable or stale."""

    def make_claimable(self, publications: Sequence[Publication], push: Push | None = None) -> bool:
        """Make these deliveries claimable; returns whether a session got the push. Raises QueueUnavailable."""

    def revoke(self, claim_keys: Sequence[str]) -> None:
        """Make the queued deliveries of these lanes stale. Raises QueueUnavailable."""

    def revoke_others(self, subscriptions: Collection[str], keep: Mapping[str, str]) -> list[str]:
        """Revoke what others have published for these subscriptions; returns what workers have claimed of it.

        `keep` has the epochs of this process's own lanes. Raises QueueUnavailable.
        """

    def send_reports(self, flush: ReportFlush) -> None:
        """Write reports. Raises QueueUnavailable."""


@dataclass(frozen=True, slots=True)
class Takeover:
    """Subscriptions that other processes may have published for, and the epochs of this process's own lanes of them.

    `claimed` is called on the publisher's thread with the deliveries that workers may still be sending.
    """

    subscriptions: Collection[str]
    keep: Mapping[str, str]
    claimed: Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A delivery to publish, with the reference that the loop made when it called `publish`.

    It gets a task `alone`; or is `pushed` to the session of the call, if that is still open; or shares a task.
    """

    delivery: Delivery
    ref: DeliveryRef
    alone: bool
    pushed: bool = False


class TaskPublisher:
    """One thread, first in first out: a revocation never overtakes a publication.

    It calls `on_unknown` with deliveries that may or may not have been published, and with those of subscriptions that
    `may_publish` refuses: it is asked right before, since the process may have been frozen after it rendered them. It
    calls `on_refused` with a session that has closed and with the deliveries for it, which it has published as a task.
    Without `sessions` no task may stay open.
    """

    def __init__(
        self,
        app: Celery,
        coordination: Claims,
        *,
        on_unknown: Callable[[Sequence[Delivery]], None],
        on_refused: Callable[[str, Sequence[Delivery]], None] = lambda _session, _deliveries: None,
        may_publish: Callable[[str], bool] = lambda _subscription_id: True,
        sessions: bool = True,
    ) -> None:
        self._sessions = sessions
        self._may_publish = may_publish
        self._app = app
        self._coordination = coordination
        self._on_unknown = on_unknown
        self._on_refused = on_refused
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._pending_revocations: set[str] = set()
        self._pending_takeovers: deque[Takeover] = deque()
        self._pending_markers: dict[str, str] = {}
        self._thread = Thread(target=self._run, name="publisher", daemon=True)
        self._begun = 0  # written by the loop's thread only
        self._ended = 0  # written by the publisher's thread only
        self.took_s = 0.0
        """How long the last publication took. On a busy machine it takes longer, and the loop publishes less often."""

    @property
    def waiting(self) -> int:
        """How many calls of `publish` have not ended yet."""
        return self._begun - self._ended

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, budget_s: float) -> None:
        """Publish what waits, and end the thread. Blocks for at most `budget_s`."""
        self._jobs.put(None)
        self._thread.join(budget_s)

    def publish(self, outgoing: Sequence[Outgoing], session: str = "") -> None:
        """Publish these deliveries soon; returns at once. Those marked `pushed` go to the session if it is open."""
        self._begun += 1
        self._jobs.put(lambda: self._publish(outgoing, session))

    def revoke(self, claim_keys: Sequence[str]) -> None:
        """Make the queued deliveries of these lanes stale, as soon as Redis can be reached; returns at once."""
        if claim_keys:
            self._jobs.put(lambda: self._pending_revocations.update(claim_keys))

    def revoke_others(self, takeover: Takeover) -> None:
        """Make stale what other processes have published for these subscriptions, likewise; returns at once."""
        self._jobs.put(lambda: self._pending_takeovers.append(takeover))

    def mark(self, reply: str, marker: str) -> None:
        """Report the end of a delivery with the id `marker` to `reply`, when what was called before has been done.

        That is after the publications, and after the revocations have succeeded. Returns at once. A later marker to the
        same `reply` replaces one that could not be sent yet.
        """
        self._jobs.put(lambda: self._pending_markers.update({reply: marker}))

    def verify(self, question: DeliveryRef) -> None:
        """Publish the task that asks an endpoint whether it wants the requests; returns at once.

        If that fails, no report comes, and the caller asks again.
        """
        self._jobs.put(lambda: self._verify(question))

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()
            self._revoke()

    def _next(self) -> Callable[[], None] | None:
        try:
            return self._jobs.get(timeout=REVOKE_RETRY_S if self._pending else None)
        except Empty:
            return _no_job

    @property
    def _pending(self) -> bool:
        return bool(self._pending_revocations or self._pending_takeovers or self._pending_markers)

    def _revoke(self) -> None:
        if not self._pending:
            return
        try:
            if self._pending_revocations:
                self._coordination.revoke(sorted(self._pending_revocations))
                self._pending_revocations.clear()
            self._revoke_others()
            for reply, marker in list(self._pending_markers.items()):
                report = Report(ReportKind.FINISHED, marker, 0)
                self._coordination.send_reports(ReportFlush(reports={reply: [report]}))
                del self._pending_markers[reply]
        except QueueUnavailable as error:
            _log.warning("revoke_failed", code=error.code, detail=error.detail, lanes=len(self._pending_revocations))

    def _revoke_others(self) -> None:
        while self._pending_takeovers:
            takeover = self._pending_takeovers[0]
            takeover.claimed(self._coordination.revoke_others(takeover.subscriptions, takeover.keep))
            self._pending_takeovers.popleft()

    def _publish(self, wanted: Sequence[Outgoing], session: str) -> None:
        refused = {id(out) for out in wanted if not self._may_publish(out.ref.subscription)}
        if refused:
            self._on_unknown([out.delivery for out in wanted if id(out) in refused])
        outgoing = [out for out in wanted if id(out) not in refused]
        sent = 0
        began = clock.monotonic()
        try:
            self._revoke_others()  # after this publication its claims would look like those of another process
            publications = [(out, Publication(out.ref, out.delivery.payload())) for out in outgoing]
            for part in _in_redis_calls(publications):
                pushed = self._push(part, session)
                # Their claim keys have new epochs now: a pending revocation would make these deliveries stale.
                for _, publication in part:
                    self._pending_revocations.difference_update(publication.ref.claim_keys())
                for queue, task, alone in _tasks(part, pushed=pushed):
                    self._send(queue, task, alone=alone)
                sent += len(part)
        except Exception as error:  # noqa: BLE001 - whatever it is, they may have been published
            _log.warning(
                "publish_failed", code=QueueUnavailable.code, detail=str(error), deliveries=len(outgoing) - sent
            )
            self._on_unknown([out.delivery for out in outgoing[sent:]])
        finally:
            self.took_s = clock.monotonic() - began
            self._ended += 1

    def _push(self, part: list[tuple[Outgoing, Publication]], session: str) -> bool:
        """Make deliveries claimable, and push those to the session that are for it; returns whether it is open."""
        to_push = [out for out, _ in part if out.pushed]
        push = Push(session, [out.ref for out in to_push]) if to_push else None
        pushed = self._coordination.make_claimable([publication for _, publication in part], push)
        if pushed:
            DELIVERIES_PUSHED.inc(by=len(to_push))
        elif to_push:
            self._on_refused(session, [out.delivery for out in to_push])
        return pushed

    def _verify(self, question: DeliveryRef) -> None:
        try:
            self._app.send_task(
                VERIFY,
                args=[ref_to_wire(question)],
                queue=RETRY,
                argsrepr=f"({question.subscription})",
                kwargsrepr="{}",
                retry=False,
                ignore_result=True,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the endpoint is asked again
            code, id_ = QueueUnavailable.code, question.subscription
            _log.warning("verification_not_published", code=code, detail=str(error), subscription=id_)

    @measured(REDIS, "publish", (Exception,))
    def _send(self, queue: str, task: Sequence[DeliveryRef], *, alone: bool) -> None:
        self._app.send_task(
            DELIVER,
            args=[[ref_to_wire(ref) for ref in task]],
            queue=queue,
            argsrepr=describe(task),
            kwargsrepr="{}",
            headers={SESSION: int(self._sessions and queue == FIRST and not alone)},
            retry=False,
            ignore_result=True,
        )


def _no_job() -> None:
    """Nothing to publish: only revocations are pending."""


def _in_redis_calls(publications: list[tuple[Outgoing, Publication]]) -> Iterator[list[tuple[Outgoing, Publication]]]:
    call: list[tuple[Outgoing, Publication]] = []
    size = 0
    for pair in publications:
        call.append(pair)
        size += len(pair[1].payload)
        if size >= REDIS_CALL_BYTES:
            yield call
            call, size = [], 0
    if call:
        yield call


def _tasks(
    publications: list[tuple[Outgoing, Publication]], *, pushed: bool
) -> Iterator[tuple[str, list[DeliveryRef], bool]]:
    """Group deliveries to the same queue into one task; those marked `alone` get a task of their own.

    With `pushed` those that are marked so need no task.
    """
    together: defaultdict[str, list[DeliveryRef]] = defaultdict(list)
    for out, _ in publications:
        if out.alone:
            yield out.delivery.queue, [out.ref], True
        elif not (pushed and out.pushed):
            together[out.delivery.queue].append(out.ref)
    for queue, refs in together.items():
        yield queue, refs, False
