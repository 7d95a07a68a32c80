"""The dead letters of a batch that is given up: read back out of the body it was rendered in.

A tombstone and a record whose value is the JSON `null` are rendered alike; both come back as tombstones.
"""

import base64
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from webhookd.flow.dead_letter import DeadLetter
from webhookd.flow.delivery import Delivery
from webhookd.flow.position import Partition
from webhookd.flow.report import Exchange
from webhookd.flow.ticket import Batch

DETAIL_CHARACTERS = 500
"""Of the endpoint's answer, or of what webhookd says where there was none, kept with each record."""

ENVELOPE_LEVELS = 100
"""More than the envelope nests, and the stack may be deeper here than where the record was looked at first."""

WORKER_LOST = "worker_lost"
"""The batch cost its workers their lives: nobody reported, so there is no answer to show."""


class _Bytes(msgspec.Struct, forbid_unknown_fields=True):
    """Bytes that are not UTF-8, as the envelope shows them."""

    base64: str


class _Message(msgspec.Struct):
    topic: str
    partition: int
    offset: int
    timestamp: int
    key: str | _Bytes | None
    headers: list[tuple[str, str | _Bytes | None]]
    value: msgspec.Raw


class _Body(msgspec.Struct):
    messages: list[_Message]


_decoder = msgspec.json.Decoder(_Body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burial:
    """A batch that is to be put aside, and why; `failure` is None when nobody reported."""

    delivery: Delivery
    batch: Batch
    failure: Exchange | None
    attempts: int

    def letters(self) -> Sequence[DeadLetter]:
        """A dead letter for each of its records, in their order."""
        cause = self.failure.error if self.failure else WORKER_LOST
        detail = _words(self.failure)[:DETAIL_CHARACTERS] if self.failure else ""
        status = self.failure.status or None if self.failure else None
        return [
            DeadLetter(
                subscription_id=self.delivery.subscription_id,
                partition=Partition(message.topic, message.partition),
                offset=message.offset,
                timestamp_ms=message.timestamp,
                key=_raw(message.key),
                value=None if bytes(message.value) == b"null" else bytes(message.value),
                headers=tuple((name, _raw(value)) for name, value in message.headers),
                cause=cause,
                detail=detail,
                status=status,
                attempts=self.attempts,
            )
            for message in _decoded(self.batch.body).messages
        ]


def _words(failure: Exchange) -> str:
    return failure.detail or failure.body.decode(errors="replace")


def _decoded(body: bytes) -> _Body:
    """The body read again: a record that was just not nested too deeply stands a few levels deeper in it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + ENVELOPE_LEVELS)
    try:
        return _decoder.decode(body)
    finally:
        sys.setrecursionlimit(limit)


def _raw(shown: str | _Bytes | None) -> bytes | None:
    match shown:
        case None:
            return None
        case str():
            return shown.encode()
        case _Bytes(base64=text):
            return base64.b64decode(text)
