"""The `webhook-id`: the same content has the same id on every attempt and dispatch; other content has another id.

It is a digest of the subscription and, for each lane in the body, of its topic, its partition and exactly the offsets
in the body (Standard Webhooks 1.0 requires an id that is unique per message and has no dot).
"""

from array import array
from collections.abc import Sequence
from hashlib import blake2b
from struct import Struct

_DIGEST_BYTES = 16
_pack = Struct("<q").pack


class WebhookIds:
    """Ids of batches of one lane; it computes only once the part of the digest that all ids have in common."""

    __slots__ = ("_digest",)

    def __init__(self, subscription_id: str, topic: str, partition: int) -> None:
        self._digest = blake2b(subscription_id.encode() + b"\0", digest_size=_DIGEST_BYTES)
        self._digest.update(_lane(topic, partition))

    def of(self, offsets: Sequence[int]) -> str:
        """The id of the batch of exactly these offsets."""
        digest = self._digest.copy()
        digest.update(_pack(offsets[0]) if len(offsets) == 1 else array("q", offsets).tobytes())
        return "msg_" + digest.hexdigest()


def webhook_id_of_mixed(subscription_id: str, parts: Sequence[tuple[str, int, Sequence[int]]]) -> str:
    """The id of a batch with records of several lanes, given in the order of the body.

    For a single lane it equals the id of WebhookIds, because the same records may form a batch of that lane later.
    """
    digest = blake2b(subscription_id.encode() + b"\0", digest_size=_DIGEST_BYTES)
    lanes = [_lane(topic, partition) + array("q", offsets).tobytes() for topic, partition, offsets in parts]
    digest.update(b"\0".join(lanes))
    return "msg_" + digest.hexdigest()


def _lane(topic: str, partition: int) -> bytes:
    return topic.encode() + b"\0" + _pack(partition)
