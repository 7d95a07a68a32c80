"""What a lane must not lose when its process dies; it is stored as the metadata of the committed offset.

So it is as durable as the offset. The next process that reads the partition gets it with the offset. Both disappear
when the topic is deleted. Kafka stores up to 4,096 bytes of metadata with an offset; this needs about 150.

    field             what                                                    if it were lost
    topic_id          UUID of the topic that the offset belongs to            the offset would be used in a topic that
                      ("" if not known)                                       was deleted and recreated
    failed_attempts   failed attempts in a row of the batch at the offset     retries would never end
    worker_losses     workers lost in a row with the batch at the offset      a batch that crashes workers would be sent
                                                                              without end
    failed_probes     circuit openings in a row; 0 while it is closed         a dead endpoint would get all retries
    version           version of the subscription (0 if not known); under     the owner's change would not start the
                      another version only worker_losses still counts         retries anew
    failing_since     when the lane began to fail, seconds since the epoch    the subscription would not be unhealthy
                                                                              after five minutes
    undecodable       undecodable records in a row; 0 below the bound of      a restart would dead-letter as many again
                      flow/batching/undecodable_records.py
"""

import msgspec


class CommitMetadata(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is committed with the offset of a lane; if both are unchanged, nothing needs to be committed."""

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
    """Return the text that Kafka stores with the offset."""
    return _encoder.encode(metadata).decode()


def decode(metadata: str | None) -> CommitMetadata:
    """Parse that text; returns NO_METADATA if another program wrote it, such as a tool that has reset the group."""
    try:
        return _decoder.decode(metadata or "{}")
    except (msgspec.DecodeError, UnicodeError):
        return NO_METADATA
