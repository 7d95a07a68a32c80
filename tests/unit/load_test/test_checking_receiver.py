"""What the benchmarks' receiver reports. Oracle: the counts that follow from the requests. Nothing is doubled."""

import json
from typing import Any

from webhookd.testing.http_endpoint import Answer, ReceivedRequest
from webhookd_load_test.benchmarks.endpoints.checking_receiver import CheckingReceiver
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport

RECEIVED_NS = 1_800_000_000_000_000_000


def delivery(path: str, *offsets: int, late_ms: int = 0) -> ReceivedRequest:
    sent_ns = f"{RECEIVED_NS - late_ms * 1_000_000:030}"
    messages = [
        f'{{"topic":"t","partition":1,"offset":{offset},"value":{{"sent_ns":"{sent_ns}"}}}}' for offset in offsets
    ]
    body = f'{{"messages":[{",".join(messages)}]}}'.encode()
    return ReceivedRequest("POST", path, b"", body, RECEIVED_NS)


def asked(receiver: CheckingReceiver, what: str = "report") -> dict[str, Any]:
    answer = receiver.answer(ReceivedRequest("GET", f"/{what}", b"", b"", RECEIVED_NS))
    found: dict[str, Any] = json.loads(answer.body)
    return found


def test_deliveries_are_answered_after_the_delay() -> None:
    assert CheckingReceiver(0.25).answer(delivery("/hook", 1)) == Answer(delay_s=0.25)


def test_what_arrives_is_counted_by_lane() -> None:
    receiver = CheckingReceiver(0.0)
    for request in (delivery("/a", 5, 6, 9), delivery("/a", 6, 8), delivery("/b", 0)):
        receiver.answer(request)
    report = asked(receiver)
    counts = {"requests": 3, "records": 6, "duplicates": 1, "out_of_order": 1, "missing": 1}
    assert {name: report[name] for name in counts} == counts
    assert report["received_ends"] == {"/a t 1": [5, 10], "/b t 1": [0, 1]}


def test_ends_are_those_of_lanes_received_from_their_beginning() -> None:
    report = ReceiverReport(received_ends={"/a b t 1": (0, 10), "/a b t 12": (0, 3), "/a b t 2": (5, 7)})
    assert report.whole_ends == {1: 10, 12: 3}
    assert report.arrived == 15


def test_latencies_are_from_sending_to_arrival() -> None:
    receiver = CheckingReceiver(0.0)
    for late_ms in range(1, 101):
        receiver.answer(delivery("/a", late_ms, late_ms=late_ms))
    report = asked(receiver)
    assert (report["timed"], report["p50_ms"], report["p99_ms"], report["max_ms"]) == (100, 51.0, 100.0, 100.0)


def test_counts_restart_but_the_order_is_kept() -> None:
    receiver = CheckingReceiver(0.0)
    receiver.answer(delivery("/a", 1, 2))
    assert asked(receiver, "reset")["records"] == 2
    receiver.answer(delivery("/a", 2))
    report = asked(receiver)
    assert (report["requests"], report["records"], report["timed"], report["duplicates"]) == (1, 1, 1, 1)
