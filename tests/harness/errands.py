"""Builders for the worker: a plan, batches, outcomes, and a clock that the test moves."""

from collections.abc import Callable, Sequence
from queue import SimpleQueue

from tests.harness.lanes import MIDDLE
from webhookd.edges.memory_board import MemoryBoard
from webhookd.errors import QueueUnavailable
from webhookd.flow.board import Denied, Flush, Offer
from webhookd.flow.outcome import Failure, FailureCode, Response
from webhookd.flow.report import Kind, Report
from webhookd.flow.subscription import Retry
from webhookd.flow.target import Target, request_head
from webhookd.flow.ticket import Batch, Ticket
from workers.errand import Bounds, Clocks, DeliveryErrand, Plan

BOUNDS = Bounds(budget_s=0.5, deadline_s=15.0, lease_s=5.0)
TARGET = Target.parse("https://example.com/hook")


def answer(status: int, body: bytes = b"") -> Response:
    """The endpoint's answer."""
    return Response(status=status, head=b"HTTP/1.1 %d" % status, body=body, elapsed_s=0.01)


def silence(code: FailureCode) -> Failure:
    """No answer."""
    return Failure(code=code, detail="as the test says", elapsed_s=0.01, sent=True)


OK = answer(200)
PATIENCE_S = 5.0


def batches_of(count: int) -> list[Batch]:
    """Batches that can be told apart."""
    return [Batch(f"msg_{number}", 1, b"body-%d" % number) for number in range(count)]


def ticket(
    id_: str = "d1",
    *,
    attempt: int = 0,
    probe: bool = False,
    lane: str = "orders/0",
    count: int = 1,
    failures: int = 0,
) -> Ticket:
    """A ticket of one lane."""
    return Ticket(
        id=id_,
        subscription="s1",
        version=1,
        lanes={lane: "epoch"},
        attempt=attempt,
        records=count,
        batches=count,
        reply="ingest",
        probe=probe,
        failures=failures,
    )


def plan(retry: Retry | None = None) -> Plan:
    """Where the requests of the subscription go."""
    head = request_head(TARGET, [("X-Api-Key", "secret")], "application/json")
    return Plan(version=1, target=TARGET, head=head, retry=retry or Retry())


class Hands:
    """Holds the clocks, and collects the errands that ended."""

    def __init__(self, retry: Retry | None = None, budget_s: float = BOUNDS.budget_s) -> None:
        self.now = 100.0
        self.wall = 1_700_000_000.5
        self.plan = plan(retry)
        self.bounds = Bounds(budget_s=budget_s, deadline_s=BOUNDS.deadline_s, lease_s=BOUNDS.lease_s)
        self.clocks = Clocks(monotonic=lambda: self.now, wall=lambda: self.wall, chance=lambda: MIDDLE)
        self.ended: list[DeliveryErrand] = []

    def errand(
        self,
        id_: str = "d1",
        *,
        batches: int = 1,
        attempt: int = 0,
        probe: bool = False,
        failures: int = 0,
        ended: Callable[[DeliveryErrand], None] | None = None,
    ) -> DeliveryErrand:
        """An errand that was just claimed."""
        return DeliveryErrand(
            ticket(id_, attempt=attempt, probe=probe, count=batches, failures=failures),
            batches_of(batches),
            self.plan,
            bounds=self.bounds,
            clocks=self.clocks,
            ended=ended or self.ended.append,
        )

    @staticmethod
    def body_of(request: bytes | None) -> bytes:
        """The body of a request that was made."""
        assert request is not None
        return request.partition(b"\r\n\r\n")[2]


class ForgetfulBoard(MemoryBoard):
    """A board that can be away: every call is refused, and counted, while `away` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refusals: SimpleQueue[str] = SimpleQueue()

    def leave(self) -> None:
        """Be away from now on."""
        self.away = True

    def claim(self, tickets: Sequence[Ticket]) -> list[bytes | Denied]:
        """As MemoryBoard, unless it is away."""
        self._answer("claim")
        return super().claim(tickets)

    def flush(self, flush: Flush) -> None:
        """As MemoryBoard, unless it is away."""
        self._answer("flush")
        super().flush(flush)

    def offer(self, offers: Sequence[Offer]) -> None:
        """As MemoryBoard, unless it is away."""
        self._answer("offer")
        super().offer(offers)

    def revoke(self, slots: Sequence[str]) -> None:
        """As MemoryBoard, unless it is away."""
        self._answer("revoke")
        super().revoke(slots)

    def _answer(self, call: str) -> None:
        if self.away:
            self.refusals.put(call)
            raise QueueUnavailable


def hear(board: MemoryBoard, count: int, *, but: Kind | None = None) -> list[Report]:
    """So many reports, as ingest reads them, those of one kind left out; fails when they do not come."""
    found: list[Report] = []
    after = "0"
    while len(found) < count:
        reports, after = board.reports("ingest", after, PATIENCE_S)
        assert reports, f"only {found} came"
        found += [report for report in reports if report.kind is not but]
    return found
