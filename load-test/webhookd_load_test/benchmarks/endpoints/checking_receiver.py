"""A receiver that checks the order of records: one process, one thread, some microseconds a request.

    python -m webhookd_load_test.benchmarks.endpoints.checking_receiver --port 31001 [--delay-s 0.2]

It responds 200 to every request, after `--delay-s`. `GET /report` returns the counts so far as JSON. `GET /reset`
returns them too, and restarts counting and timing, but keeps the order of each lane. A lane is a request path, a topic
and a partition.
"""

import re
from array import array

import click
import msgspec

from webhookd.testing.arrival_order import ArrivalOrder
from webhookd.testing.http_endpoint import Answer, HttpEndpoint, ReceivedRequest
from webhookd_load_test.benchmarks.endpoints.receiver_report import ReceiverReport
from webhookd_load_test.run_folder.units import NS_PER_MS

RECORD = re.compile(rb'\{"topic":"([^"]+)","partition":(\d+),"offset":(\d+),')
SENT = re.compile(rb'"sent_ns":"0*([1-9]\d*)"')


class Tally:
    """Counts of all that was received."""

    def __init__(self) -> None:
        self._order: ArrivalOrder[tuple[str, bytes, bytes]] = ArrivalOrder()
        self.reset()

    def reset(self) -> None:
        """Restart counting and timing; the order of the lanes is kept."""
        self.requests = self.records = 0
        self._late_ms = array("d")

    def add(self, request: ReceivedRequest) -> None:
        """Count one request."""
        self.requests += 1
        path, body, now_ns, add = request.path, request.body, request.received_ns, self._order.add
        records = RECORD.findall(body)
        self.records += len(records)
        for topic, partition, offset in records:
            add((path, topic, partition), int(offset))
        self._late_ms.extend([(now_ns - int(sent)) / NS_PER_MS for sent in SENT.findall(body)])

    def report(self) -> bytes:
        """All counts as JSON; latencies in milliseconds."""
        late = sorted(self._late_ms)
        at = {p: late[min(len(late) - 1, int(len(late) * p / 100))] if late else 0.0 for p in (50, 99, 100)}
        seen = self._order.seen
        report = ReceiverReport(
            requests=self.requests,
            records=self.records,
            duplicates=self._order.duplicates,
            missing=seen.missing,
            out_of_order=self._order.out_of_order,
            received_ends={_name(lane): (own.lowest, own.highest + 1) for lane, own in seen.lanes.items()},
            timed=len(late),
            p50_ms=at[50],
            p99_ms=at[99],
            max_ms=at[100],
        )
        return msgspec.json.encode(report)


def _name(lane: tuple[str, bytes, bytes]) -> str:
    path, topic, partition = lane
    return f"{path} {topic.decode()} {partition.decode()}"


class CheckingReceiver:
    """Answers each request after `delay_s`, and a GET with the counts."""

    def __init__(self, delay_s: float) -> None:
        self._tally = Tally()
        self._ok = Answer(delay_s=delay_s)

    def answer(self, request: ReceivedRequest) -> Answer:
        """Count a delivery, or report."""
        if request.method != "GET":
            self._tally.add(request)
            return self._ok
        report = self._tally.report()
        if request.path == "/reset":
            self._tally.reset()
        return Answer(body=report)


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), required=True)
@click.option("--delay-s", type=click.FloatRange(0), default=0.0, show_default=True)
def main(port: int, delay_s: float) -> None:
    """Run the server until it is killed."""
    HttpEndpoint(CheckingReceiver(delay_s).answer, port=port).run()


if __name__ == "__main__":
    main()
