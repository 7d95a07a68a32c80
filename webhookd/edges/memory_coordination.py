"""The coordination store in the memory of this process, for the embedded default.

The contract tests for it and for the store in Redis are the same.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from threading import Condition

from webhookd import clock
from webhookd.edges.memory_permits import MemoryPermits
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.dispatch.coordination import (
    ClaimAnswer,
    ClaimDenied,
    Publication,
    Push,
    ReportFlush,
    payload_key,
    subscription_of,
)
from webhookd.flow.dispatch.delivery_session import SessionClaim, worker_of
from webhookd.flow.dispatch.request_quota import NotNow, PermitRequest, Permitted
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.dispatch.worker_heartbeat import WORKER_SILENCE_S, WorkerHeartbeat


class MemoryCoordination:
    """Behaves like RedisCoordination, for the threads of one process."""

    def __init__(self, *, worker_silence_s: float = WORKER_SILENCE_S) -> None:
        self._silence_s = worker_silence_s
        self._workers: dict[str, tuple[float, WorkerHeartbeat]] = {}
        self._changed = Condition()
        self._claims: dict[str, tuple[str, str, int]] = {}
        self._payloads: dict[str, bytes] = {}
        self._streams: defaultdict[str, deque[tuple[int, list[Report]]]] = defaultdict(deque)
        self._sessions: dict[str, tuple[int, float]] = {}
        self._pushes: defaultdict[str, deque[Push]] = defaultdict(deque)
        self._sequence = 0
        self._permits = MemoryPermits(clock.monotonic)

    def make_claimable(self, publications: Sequence[Publication], push: Push | None = None) -> bool:
        """Make deliveries claimable. Repeating it for a delivery keeps an existing claim.

        In the same step push some of them to a session. Returns whether they were pushed: whether the session is open.
        """
        with self._changed:
            for publication in publications:
                ref = publication.ref
                self._payloads[payload_key(ref.id, ref.attempt)] = publication.payload
                self._set_claim_keys(ref)
            return push is not None and self._push(push)

    def take_pushed(self, worker: str, wait_s: float) -> Push | None:
        """Take the next push to a session of this worker; waits up to `wait_s` for one, and returns None without."""
        with self._changed:
            pushes = self._pushes[worker]
            self._changed.wait_for(lambda: bool(pushes), wait_s)
            return pushes.popleft() if pushes else None

    def close_session(self, session: str, received: int | None) -> bool:
        """Close a session, unless more was pushed to it than `received` (None: in any case); returns whether it did."""
        with self._changed:
            pushed = self._session_pushes(session)
            if None not in {pushed, received} and pushed != received:
                return False
            self._sessions.pop(session, None)
            return True

    def claim(
        self,
        refs: Sequence[DeliveryRef],
        needed: Sequence[PermitRequest | None] = (),
        session: SessionClaim | None = None,
    ) -> list[ClaimAnswer]:
        """Claim deliveries of one task, all of one ingest process, and report to it which ones started.

        `needed` has the permit that each delivery needs; a delivery that cannot get it is not claimed. If one is
        claimed, the `session` is opened or renewed.
        """
        needed = needed or [None] * len(refs)
        with self._changed:
            answers = [self._claim(ref, request) for ref, request in zip(refs, needed, strict=True)]
            opened = session.id if session and session.opens else ""
            started = [
                Report(ReportKind.STARTED, ref.id, ref.attempt, session=opened)
                for ref, answer in zip(refs, answers, strict=True)
                if not isinstance(answer, ClaimDenied | NotNow)
            ]
            if started:
                self._renew(session)
                self._append(refs[0].reply_to, started)
            return answers

    def are_current(self, refs: Sequence[DeliveryRef]) -> list[bool]:
        """Whether each delivery is still the current one of its lanes."""
        with self._changed:
            return [self._holds(ref) for ref in refs]

    def send_reports(self, flush: ReportFlush) -> None:
        """Give back permits, add reports, and store or delete payloads, in one atomic step."""
        with self._changed:
            self._permits.give_back(flush.permits)
            self._payloads.update(flush.payloads_to_store)
            for key in flush.payloads_to_delete:
                self._payloads.pop(key, None)
            for reply, reports in flush.reports.items():
                self._append(reply, list(reports))

    def read_reports(self, reply: str, after: str, wait_s: float) -> tuple[list[Report], str]:
        """Return the reports after `after` ("0" for all), and where to continue; waits up to `wait_s` for one."""
        seen = int(after)
        with self._changed:
            stream = self._streams[reply]
            while stream and stream[0][0] <= seen:
                stream.popleft()
            self._changed.wait_for(lambda: bool(stream), wait_s)
            found = [report for _, reports in stream for report in reports]
            return found, str(stream[-1][0]) if stream else after

    def revoke(self, claim_keys: Sequence[str]) -> None:
        """Make stale what is queued or waits for a retry under the current epochs of these lanes."""
        with self._changed:
            for key in claim_keys:
                self._claims.pop(key, None)

    def revoke_others(self, subscriptions: Collection[str], keep: Mapping[str, str]) -> list[str]:
        """Revoke the claims of these subscriptions, but not those of the lanes with the epochs in `keep`.

        Returns the ids of the deliveries among them that a worker has claimed and has not reported yet.
        """
        with self._changed:
            held = [key for key in self._claims if subscription_of(key) in subscriptions]
            revoked = [self._claims.pop(key) for key in held if keep.get(key) != self._claims[key][0]]
            claimed = {id_ for _, id_, count in revoked if count and payload_key(id_, count - 1) in self._payloads}
            return sorted(claimed)

    def write_heartbeat(self, worker: WorkerHeartbeat) -> None:
        """Store a worker's heartbeat; it is removed if the worker sends no other one in time."""
        with self._changed:
            self._workers[worker.id] = clock.monotonic(), worker

    def remove_heartbeat(self, worker_id: str) -> None:
        """Remove a worker that takes no more tasks."""
        with self._changed:
            self._workers.pop(worker_id, None)

    def live_workers(self) -> list[WorkerHeartbeat]:
        """The workers with a recent heartbeat, sorted by id."""
        with self._changed:
            now = clock.monotonic()
            self._workers = {
                id_: heartbeat for id_, heartbeat in self._workers.items() if now - heartbeat[0] <= self._silence_s
            }
            found = [replace(worker, silent_s=now - written_at) for written_at, worker in self._workers.values()]
        return sorted(found, key=lambda worker: worker.id)

    def queue_lengths(self) -> dict[str, int]:
        """Return {}: the embedded queues are in the memory of the Celery application."""
        return {}

    def now(self) -> float:
        """Return the process's monotonic clock, which all its threads share."""
        return clock.monotonic()

    def ping(self) -> None:
        """Do nothing: this store is always reachable."""

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _session_pushes(self, session: str) -> int | None:
        """How many pushes there were to a session; None if it is not open."""
        pushes, expires_at = self._sessions.get(session, (0, 0.0))
        return pushes if clock.monotonic() < expires_at else None

    def _push(self, push: Push) -> bool:
        pushes = self._session_pushes(push.session)
        if pushes is None:
            return False
        self._sessions[push.session] = pushes + 1, self._sessions[push.session][1]
        self._pushes[worker_of(push.session)].append(push)
        self._changed.notify_all()
        return True

    def _renew(self, session: SessionClaim | None) -> None:
        if session is not None and (session.opens or self._session_pushes(session.id) is not None):
            pushes = 0 if session.opens else self._sessions[session.id][0]
            self._sessions[session.id] = pushes, clock.monotonic() + session.ttl_s

    def _holds(self, ref: DeliveryRef) -> bool:
        held = (self._claims.get(key, ("", "", 0))[:2] for key in ref.claim_keys())
        return all(pair == (epoch, ref.id) for pair, epoch in zip(held, ref.lanes.values(), strict=True))

    def _set_claim_keys(self, ref: DeliveryRef) -> None:
        for key, epoch in zip(ref.claim_keys(), ref.lanes.values(), strict=True):
            if self._claims.get(key, ("", "", 0))[:2] != (epoch, ref.id):
                self._claims[key] = (epoch, ref.id, 0)

    def _claim(self, ref: DeliveryRef, needed: PermitRequest | None) -> ClaimAnswer:
        if not self._holds(ref):
            return ClaimDenied.STALE
        claim_keys = ref.claim_keys()
        if any(self._claims[key][2] != ref.attempt for key in claim_keys):
            return ClaimDenied.TAKEN
        payload = self._payloads.get(payload_key(ref.id, ref.attempt))
        if payload is None:
            return ClaimDenied.STALE
        permit = self._permits.take(needed, ref, payload_key(ref.id, ref.attempt)) if needed else None
        if isinstance(permit, NotNow):
            return permit
        for key, epoch in zip(claim_keys, ref.lanes.values(), strict=True):
            self._claims[key] = (epoch, ref.id, ref.attempt + 1)
        return payload if permit is None else Permitted(payload, permit)

    def _append(self, reply: str, reports: list[Report]) -> None:
        self._sequence += 1
        self._streams[reply].append((self._sequence, reports))
        self._changed.notify_all()
