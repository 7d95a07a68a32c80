"""A batch: one rendered HTTP request body; and the payload that holds the batches of a delivery."""

from collections.abc import Sequence

import msgspec


class Batch(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Exactly one request. `webhook_id` is a digest of its contents."""

    webhook_id: str
    records: int
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(list[Batch])


def encode_batches(batches: Sequence[Batch]) -> bytes:
    """The payload: what the coordination store holds of a delivery."""
    return _encoder.encode(batches)


def decode_batches(payload: bytes) -> list[Batch]:
    """The batches of a payload. Raises msgspec.DecodeError for another format."""
    return _batches.decode(payload)
