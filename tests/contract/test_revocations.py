"""Contract of the coordination store, in memory and in Redis: which deliveries a revocation makes stale."""

from tests.harness.coordination import REPLY, CoordinationStore, claimed, offered, ref
from webhookd.flow.dispatch.coordination import ClaimDenied, ReportFlush, payload_key
from webhookd.flow.dispatch.task_message import DeliveryRef


def test_revoked_lane_is_stale(coordination: CoordinationStore) -> None:
    offered(coordination, ref(), ref("d2", lanes=("orders/1",)))
    coordination.revoke(["s1/orders/0", "s1/unknown/9"])
    assert claimed(coordination, ref()) is ClaimDenied.STALE
    assert claimed(coordination, ref("d2", lanes=("orders/1",))) == b"payload"


def test_revoking_nothing_is_allowed(coordination: CoordinationStore) -> None:
    coordination.revoke([])


def test_claims_of_others_are_revoked_but_for_the_epochs_to_keep(coordination: CoordinationStore) -> None:
    lanes = [f"orders/{number}" for number in range(3)]
    refs = [ref(f"d{number}", lanes=(lane,)) for number, lane in enumerate(lanes)]
    other = DeliveryRef(
        id="d9",
        subscription="s10",
        version=1,
        lanes={"orders/0": "e1"},
        attempt=0,
        records=1,
        batches=1,
        reply_to=REPLY,
    )
    offered(coordination, *refs, other)
    coordination.revoke_others({"s1"}, {"s1/orders/1": "e1", "s1/orders/2": "e2"})
    assert coordination.claim([*refs, other]) == [ClaimDenied.STALE, b"payload", ClaimDenied.STALE, b"payload"]


def test_revoking_the_claims_of_others_returns_what_workers_have_claimed(coordination: CoordinationStore) -> None:
    queued, claimed_one, ended, mixed = (
        ref("queued"),
        ref("claimed", lanes=("orders/1",)),
        ref("ended", lanes=("orders/2",)),
        ref("mixed", lanes=("orders/3", "orders/4")),
    )
    offered(coordination, queued, claimed_one, ended, mixed)
    coordination.claim([claimed_one, ended, mixed])
    coordination.send_reports(ReportFlush(reports={}, payloads_to_delete=[payload_key("ended", 0)]))
    assert coordination.revoke_others({"s1"}, {}) == ["claimed", "mixed"]
    assert coordination.are_current([claimed_one, mixed]) == [False, False]
    assert coordination.revoke_others({"s1", "unknown"}, {}) == []
