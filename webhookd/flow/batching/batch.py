"""A batch: exactly one HTTP request, rendered; and the payload that holds the batches of a delivery."""

from collections.abc import Sequence

import msgspec


class Batch(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """Exactly one request. `webhook_id` is a digest of what is in it."""

    webhook_id: str
    records: int
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_batches = msgspec.msgpack.Decoder(list[Batch])


def encode_batches(batches: Sequence[Batch]) -> bytes:
    """The payload that is kept beside the task."""
    return _encoder.encode(batches)


def decode_batches(payload: bytes) -> list[Batch]:
    """The batches of a payload. Raises msgspec.DecodeError for what another version wrote."""
    return _batches.decode(payload)
