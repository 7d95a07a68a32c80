"""What a lane must not forget when its process dies: it travels with the committed offset, as the commit's metadata.

So it is as durable as the offset itself, moves with it to whoever reads on, and is gone with it when the topic is
deleted. Kafka keeps up to 4,096 bytes of metadata with an offset; this takes some 100.

    field       what                                                     why it must survive
    topic_id    the UUID of the topic that the offset is in ("" unknown) a topic made again begins at its beginning
    failures    failed attempts in a row of the batch at the offset      or retries would never end
    deaths      workers lost in a row at the offset                      or one poisonous batch would go on killing
    probes      failed probes in a row; 0 while the lane flows           or a dead endpoint would get all retries again
    version     that of the subscription (0 unknown): what failed under  what its owner changed is tried afresh
                another one is forgotten, deaths apart
    since       when the lane began to fail, seconds since the epoch     or nobody would be told after five minutes
    unreadable  unreadable records in a row, 0 below the bound of    or each restart would dead-letter as many
                flow/batching/undecodable_records.py
"""

import msgspec


class CommitMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a lane beside its offset; equal memos need no new commit."""

    topic_id: str = ""
    failed_attempts: int = 0
    worker_losses: int = 0
    failed_probes: int = 0
    failing_since: float = 0.0
    version: int = 0
    undecodable: int = 0


NO_METADATA = CommitMetadata()

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CommitMetadata)


def encode(metadata: CommitMetadata) -> str:
    """The memo as commit metadata."""
    return _encoder.encode(metadata).decode()


def decode(metadata: str | None) -> CommitMetadata:
    """The memo in commit metadata; what somebody else wrote there (a tool that reset the group) says nothing."""
    try:
        return _decoder.decode(metadata or "{}")
    except (msgspec.DecodeError, UnicodeError):
        return NO_METADATA
