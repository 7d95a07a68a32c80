"""A batch: one rendered HTTP request body; and the payload that holds the batches of a delivery."""

from collections.abc import Sequence

import msgspec


class Batch(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """The records of one request, rendered. `webhook_id` is a digest that identifies the records."""

    webhook_id: str
    records: int
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(list[Batch])


def encode_batches(batches: Sequence[Batch]) -> bytes:
    """Return the payload that the coordination store holds for a delivery."""
    return _encoder.encode(batches)


def decode_batches(payload: bytes) -> list[Batch]:
    """The batches of a payload. Raises msgspec.DecodeError for another format."""
    return _batches.decode(payload)
