"""The type of both coordination stores, deliveries in them, and how a test deletes all keys in Redis."""

from redis import Redis

from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.flow.dispatch.coordination import ClaimAnswer, Publication
from webhookd.flow.dispatch.task_message import DeliveryRef

CoordinationStore = MemoryCoordination | RedisCoordination

REPLY = "ingest-1"


def lose_everything(url: str, prefix: str) -> None:
    """Delete all keys of this test, as FLUSHALL would."""
    with Redis.from_url(url) as client:
        for key in list(client.scan_iter(f"{prefix}*", count=1000)):
            client.delete(key)


def ref(id_: str = "d1", *, epoch: str = "e1", attempt: int = 0, lanes: tuple[str, ...] = ("orders/0",)) -> DeliveryRef:
    """A reference to a delivery of these lanes."""
    return DeliveryRef(
        id=id_,
        subscription="s1",
        version=1,
        lanes=dict.fromkeys(lanes, epoch),
        attempt=attempt,
        records=1,
        batches=1,
        reply_to=REPLY,
    )


def offered(coordination: CoordinationStore, *refs: DeliveryRef, payload: bytes = b"payload") -> None:
    """Make deliveries claimable."""
    coordination.make_claimable([Publication(one, payload) for one in refs])


def claimed(coordination: CoordinationStore, one: DeliveryRef) -> ClaimAnswer:
    """Claim one delivery."""
    (answer,) = coordination.claim([one])
    return answer
