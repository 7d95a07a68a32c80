"""The coordination store in Redis: payloads, epochs, claims, reports and worker heartbeats.

Every call but `read_reports` and `revoke_others` is atomic and one round trip (one command, a Lua script, one MULTI).
Every call blocks for at most the socket timeout and raises QueueUnavailable when Redis does not answer. After that it
is unknown whether the call has taken effect.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import accumulate
from typing import Any, cast

import msgspec
import redis
from redis.connection import PythonRespSerializer

from webhookd import clock, logs
from webhookd.edges import redis_scripts
from webhookd.edges.redis_address import RedisAddress
from webhookd.edges.redis_failures import detail_of
from webhookd.edges.redis_permits import GIVE_BACK, asked, given_back, permit, refused
from webhookd.edges.redis_primary import WRITABLE, WRITABLE_MS, NotPrimary, PrimaryPool, primary_pool
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind, decode, encode
from webhookd.flow.dispatch.coordination import (
    ClaimAnswer,
    ClaimDenied,
    Publication,
    Push,
    ReportFlush,
    decode_push,
    encode_push,
    payload_key,
    subscription_of,
)
from webhookd.flow.dispatch.delivery_session import SessionClaim, worker_of
from webhookd.flow.dispatch.queue_names import QUEUES
from webhookd.flow.dispatch.request_quota import PermitRequest, Permitted
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.dispatch.worker_heartbeat import WORKER_SILENCE_S, WorkerHeartbeat
from webhookd.metrics.service_calls import REDIS, measured

_log = logs.get(__name__)

PAYLOAD_TTL_S = 9000
"""Longer than the longest retry countdown (1 h) plus a redelivery after Celery's visibility timeout."""

PUSH_TTL_S = 60
"""A list of pushes that nobody takes expires: its worker is dead, and ingest publishes the deliveries as tasks."""

COPIED_BYTES = 6000
"""Longer arguments are sent without copying. hiredis would pack them into one command and copy megabytes twice, which
is a seventh of the time that ingest needs for a batch of 100."""

STREAM_TTL_S = 3600
"""The reports to an ingest process that has ended expire after this time."""

TRIM_INTERVAL_S = 1.0

STREAM_LENGTH = 100_000
"""The flushes that are kept for an ingest process that does not read. A lost report delays its lane by one lease."""

SCANNED = 1_000
"""The claims that one call reads or revokes. It takes about a millisecond, in which Redis does nothing else."""

_granted = msgspec.msgpack.Decoder(list[tuple[str, int]])
_worker = msgspec.msgpack.Decoder(WorkerHeartbeat)


class _RedisErrors(AbstractContextManager[None]):
    """Turns the Redis errors in its block into QueueUnavailable. After NotPrimary all connections are reopened."""

    def __init__(self, pool: PrimaryPool) -> None:
        self._pool = pool

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NotPrimary):
            self._pool.drop()
        if isinstance(error, redis.RedisError):
            raise QueueUnavailable(detail_of(error)) from error


class RedisCoordination:
    """The coordination store on a Redis server; thread-safe."""

    def __init__(self, address: RedisAddress, prefix: str, *, worker_silence_s: float = WORKER_SILENCE_S) -> None:
        pool = primary_pool(
            address,
            socket_timeout=5.0,
            socket_connect_timeout=2.0,
            socket_keepalive=True,
            health_check_interval=10,
            command_packer=PythonRespSerializer(COPIED_BYTES, _encoded),
        )
        self._pool = pool
        self._redis = redis.Redis.from_pool(pool)
        self._answering = _RedisErrors(pool)
        self._trim_at = 0.0
        self._claims = f"{prefix}claims"
        self._payloads = f"{prefix}payload:"
        self._reports = f"{prefix}reports:"
        self._buckets = f"{prefix}pace:"
        self._permits = f"{prefix}permits:"
        self._sessions = f"{prefix}session:"
        self._pushes = f"{prefix}pushes:"
        self._workers = f"{prefix}workers"
        self._writable = f"{prefix}{WRITABLE}"
        # kombu keeps a queue without priorities in a list, under its `global_keyprefix` and the queue's name.
        self._queues = {name: f"{prefix}{name}" for name in QUEUES.values()}
        self._silence_ms = round(worker_silence_s * 1000)
        self._make_claimable = self._redis.register_script(redis_scripts.MAKE_CLAIMABLE)
        self._claim = self._redis.register_script(redis_scripts.CLAIM)
        self._close_session = self._redis.register_script(redis_scripts.CLOSE_SESSION)
        self._revoke_others = self._redis.register_script(redis_scripts.REVOKE_OTHERS)
        self._give_back = self._redis.register_script(GIVE_BACK)
        self._write_heartbeat = self._redis.register_script(redis_scripts.WRITE_HEARTBEAT)
        self._live_workers = self._redis.register_script(redis_scripts.LIVE_WORKERS)

    @measured(REDIS, "make_claimable")
    def make_claimable(self, publications: Sequence[Publication], push: Push | None = None) -> bool:
        """Make deliveries claimable. Repeating it for a delivery keeps an existing claim.

        In the same step push some of them to a session. Returns whether they were pushed: whether the session is open.
        """
        session = push.session if push else ""
        with self._answering:
            index = [[p.ref.id, payload_key(p.ref.id, p.ref.attempt), *_lanes(p.ref)] for p in publications]
            payloads = [publication.payload for publication in publications]
            pushed = self._make_claimable(
                keys=[self._claims, self._payloads, self._sessions + session, self._pushes + worker_of(session)],
                args=[
                    msgspec.msgpack.encode(index),
                    PAYLOAD_TTL_S,
                    encode_push(push) if push else b"",
                    PUSH_TTL_S,
                    *payloads,
                ],
            )
            return bool(pushed)

    @measured(REDIS, "take_pushed", waits=True)
    def take_pushed(self, worker: str, wait_s: float) -> Push | None:
        """Take the next push to a session of this worker; waits up to `wait_s` for one, and returns None without."""
        with self._answering:
            taken: Any = self._redis.brpop([self._pushes + worker], timeout=wait_s)
        try:
            return decode_push(taken[1]) if taken else None
        except msgspec.DecodeError as error:
            _log.warning("push_unreadable", detail=str(error))
            return None

    @measured(REDIS, "close_session")
    def close_session(self, session: str, received: int | None) -> bool:
        """Close a session, unless more was pushed to it than `received` (None: in any case); returns whether it did."""
        with self._answering:
            number = "" if received is None else received
            return bool(self._close_session(keys=[self._sessions + session], args=[number]))

    @measured(REDIS, "claim")
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
        with self._answering:
            index = [
                [ref.id, ref.attempt, payload_key(ref.id, ref.attempt), asked(request, ref), *_lanes(ref)]
                for ref, request in zip(refs, needed, strict=True)
            ]
            answers: Any = self._claim(
                keys=[
                    self._claims,
                    self._payloads,
                    self._reports + refs[0].reply_to,
                    self._buckets,
                    self._permits,
                    self._sessions + (session.id if session else ""),
                ],
                args=[msgspec.msgpack.encode(index), STREAM_LENGTH, STREAM_TTL_S, *_session_arguments(session)],
            )
            return [_verdict(answer, ref, request) for answer, ref, request in zip(answers, refs, needed, strict=True)]

    @measured(REDIS, "are_current")
    def are_current(self, refs: Sequence[DeliveryRef]) -> list[bool]:
        """Whether each delivery is still the current one of its lanes."""
        with self._answering:
            wanted = [
                (claim_key, f"{epoch}|{ref.id}|")
                for ref in refs
                for claim_key, epoch in zip(ref.claim_keys(), ref.lanes.values(), strict=True)
            ]
            held = cast("list[bytes | None]", self._redis.hmget(self._claims, [claim_key for claim_key, _ in wanted]))
            good = [
                value is not None and value.startswith(prefix.encode())
                for value, (_, prefix) in zip(held, wanted, strict=True)
            ]
        ends = list(accumulate(len(ref.lanes) for ref in refs))
        return [all(good[end - len(ref.lanes) : end]) for ref, end in zip(refs, ends, strict=True)]

    @measured(REDIS, "send_reports")
    def send_reports(self, flush: ReportFlush) -> None:
        """Add reports, and store or delete payloads, in one MULTI. Before that, give back permits.

        A permit that is given back twice, because the call is repeated, has no further effect.
        """
        if flush.permits:
            with self._answering:
                self._give_back(keys=[self._buckets, self._permits], args=[given_back(list(flush.permits))])
        with self._answering, self._redis.pipeline(transaction=True) as pipe:
            for key, payload in flush.payloads_to_store.items():
                pipe.set(self._payloads + key, payload, ex=PAYLOAD_TTL_S)
            if flush.payloads_to_delete:
                pipe.delete(*(self._payloads + key for key in flush.payloads_to_delete))
            for reply, reports in flush.reports.items():
                pipe.xadd(self._reports + reply, {"r": encode(list(reports))}, maxlen=STREAM_LENGTH)
                pipe.expire(self._reports + reply, STREAM_TTL_S)
            pipe.execute()

    @measured(REDIS, "read_reports", waits=True)
    def read_reports(self, reply: str, after: str, wait_s: float) -> tuple[list[Report], str]:
        """Return the reports after `after` ("0" for all), and where to continue; waits up to `wait_s` for one.

        Reports that were read are trimmed about once a second.
        """
        with self._answering:
            stream = self._reports + reply
            answer: Any = self._redis.xread({stream: after}, count=500, block=max(1, int(wait_s * 1000)))
            entries = (
                answer[stream.encode()][0] if isinstance(answer, dict) and answer else answer[0][1] if answer else []
            )
            found = [report for _, fields in entries for report in _decode(fields)]
            last = entries[-1][0].decode() if entries else after
            if clock.monotonic() >= self._trim_at:
                last = last if entries else self._continue_after(stream, last)
                self._redis.xtrim(stream, minid=last)
                self._trim_at = clock.monotonic() + TRIM_INTERVAL_S
            return found, last

    def _continue_after(self, stream: str, after: str) -> str:
        """Return `after`, or "0" if the stream's last entry is before it.

        The ids of entries come from the server's clock. After the stream was lost, or after a failover, that clock may
        be behind `after`: no report would be read until it has caught up. Reading a report twice has no effect.
        """
        try:
            reached: Any = self._redis.xinfo_stream(stream)["last-generated-id"]
        except redis.ResponseError:  # there is none
            return "0"
        return after if _number_of(reached.decode()) >= _number_of(after) else "0"

    @measured(REDIS, "revoke")
    def revoke(self, claim_keys: Sequence[str]) -> None:
        """Make stale what is queued or waits for a retry under the current epochs of these lanes."""
        with self._answering:
            if claim_keys:
                self._redis.hdel(self._claims, *claim_keys)

    @measured(REDIS, "revoke_others")
    def revoke_others(self, subscriptions: Collection[str], keep: Mapping[str, str]) -> list[str]:
        """Revoke the claims of these subscriptions, but not those of the lanes with the epochs in `keep`.

        Returns the ids of the deliveries among them that a worker has claimed and has not reported yet. Not one round
        trip: it reads all claims, SCANNED of them at a time. A claim that is made meanwhile may stay.
        """
        with self._answering:
            fields = self._redis.hscan_iter(self._claims, count=SCANNED)
            keys = sorted({key.decode() for key, _ in fields if subscription_of(key.decode()) in subscriptions})
            claimed: set[str] = set()
            for first in range(0, len(keys), SCANNED):
                lanes = [[key, keep.get(key, "")] for key in keys[first : first + SCANNED]]
                answer: Any = self._revoke_others(
                    keys=[self._claims, self._payloads], args=[msgspec.msgpack.encode(lanes)]
                )
                claimed.update(id_.decode() for id_ in answer)
        return sorted(claimed)

    @measured(REDIS, "write_heartbeat")
    def write_heartbeat(self, worker: WorkerHeartbeat) -> None:
        """Store a worker's heartbeat; it is removed if the worker sends no other one in time."""
        with self._answering:
            self._write_heartbeat(
                keys=[self._workers], args=[worker.id, msgspec.msgpack.encode(worker), self._silence_ms]
            )

    @measured(REDIS, "remove_heartbeat")
    def remove_heartbeat(self, worker_id: str) -> None:
        """Remove a worker that takes no more tasks."""
        with self._answering:
            self._redis.hdel(self._workers, worker_id)

    @measured(REDIS, "live_workers")
    def live_workers(self) -> list[WorkerHeartbeat]:
        """The workers with a recent heartbeat, sorted by id. Heartbeats of another version are ignored."""
        with self._answering:
            answers: Any = self._live_workers(keys=[self._workers], args=[self._silence_ms])
        found = [worker for silent_ms, stored in answers if (worker := _worker_of(stored, silent_ms / 1000))]
        return sorted(found, key=lambda worker: worker.id)

    @measured(REDIS, "queue_lengths")
    def queue_lengths(self) -> dict[str, int]:
        """Return the number of waiting tasks by queue, without those that a worker holds (also for a countdown)."""
        with self._answering, self._redis.pipeline(transaction=True) as pipe:
            for key in self._queues.values():
                pipe.llen(key)
            return dict(zip(self._queues, pipe.execute(), strict=True))

    @measured(REDIS, "time")
    def now(self) -> float:
        """Return the time of the Redis server in seconds, which all processes share."""
        with self._answering:
            seconds, micros = self._redis.time()
            return float(seconds + micros / 1e6)

    @measured(REDIS, "ping")
    def ping(self) -> None:
        """Raises QueueUnavailable when Redis does not answer or accepts no writes."""
        with self._answering:
            self._redis.set(self._writable, 1, px=WRITABLE_MS)

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _encoded(argument: str | bytes | float) -> bytes:
    return argument if isinstance(argument, bytes) else str(argument).encode()


def _session_arguments(session: SessionClaim | None) -> tuple[int, str, str]:
    if session is None:
        return 0, "", ""
    return round(session.ttl_s * 1000), "open" if session.opens else "renew", session.id


def _lanes(ref: DeliveryRef) -> list[tuple[str, str]]:
    return list(zip(ref.claim_keys(), ref.lanes.values(), strict=True))


def _verdict(answer: list[Any], ref: DeliveryRef, request: PermitRequest | None) -> ClaimAnswer:
    if answer[0] == b"g":
        payload: bytes = answer[1]
        if request is None:
            return payload
        return Permitted(payload, permit(request, ref, payload_key(ref.id, ref.attempt), answer[2]))
    if answer[0] == b"w" and request is not None:
        return refused(request, answer[1], answer[2])
    return ClaimDenied.TAKEN if answer[0] == b"t" else ClaimDenied.STALE


def _worker_of(stored: bytes, silent_s: float) -> WorkerHeartbeat | None:
    try:
        return replace(_worker.decode(stored), silent_s=silent_s)
    except msgspec.DecodeError as error:
        _log.warning("worker_unreadable", detail=str(error))
        return None


def _number_of(entry: str) -> tuple[int, int]:
    """Return a stream entry's id in a form that can be compared."""
    at_ms, _, count = entry.partition("-")
    return int(at_ms), int(count or 0)


def _decode(fields: dict[bytes, bytes]) -> list[Report]:
    """Return the reports of one entry; none for an entry of another version, whose deliveries wait for their lease."""
    try:
        if b"s" in fields:
            started = _granted.decode(fields[b"s"])
            session = fields.get(b"o", b"").decode()
            return [Report(ReportKind.STARTED, delivery, attempt, session=session) for delivery, attempt in started]
        return decode(fields[b"r"])
    except (KeyError, msgspec.DecodeError) as error:
        _log.warning("report_unreadable", detail=str(error))
        return []
