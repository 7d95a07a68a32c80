"""Builders for the worker: a plan, batches, outcomes, and a clock that the test moves."""

from collections.abc import Callable, Sequence
from queue import SimpleQueue

from tests.harness.lanes import MIDDLE
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Response
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.batching.batch import Batch
from webhookd.flow.dispatch.coordination import ClaimDenied, Publication, ReportFlush
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Retry
from workers.delivery.delivery_sender import Clocks, DeliverySender, RequestTemplate, SendLimits

BOUNDS = SendLimits(budget_s=0.5, deadline_s=15.0, lease_s=5.0)
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


def ref(
    id_: str = "d1",
    *,
    attempt: int = 0,
    probe: bool = False,
    lane: str = "orders/0",
    count: int = 1,
    failures: int = 0,
) -> DeliveryRef:
    """A ticket of one lane."""
    return DeliveryRef(
        id=id_,
        subscription="s1",
        version=1,
        lanes={lane: "epoch"},
        attempt=attempt,
        records=count,
        batches=count,
        reply_to="ingest",
        probe=probe,
        failures=failures,
    )


def plan(retry: Retry | None = None) -> RequestTemplate:
    """Where the requests of the subscription go."""
    head = request_head(TARGET, [("X-Api-Key", "secret")], "application/json")
    return RequestTemplate(version=1, target=TARGET, head=head, retry=retry or Retry())


class Hands:
    """Holds the clocks, and collects the errands that ended."""

    def __init__(self, retry: Retry | None = None, budget_s: float = BOUNDS.budget_s) -> None:
        self.now = 100.0
        self.wall = 1_700_000_000.5
        self.plan = plan(retry)
        self.bounds = SendLimits(budget_s=budget_s, deadline_s=BOUNDS.deadline_s, lease_s=BOUNDS.lease_s)
        self.clocks = Clocks(monotonic=lambda: self.now, wall=lambda: self.wall, chance=lambda: MIDDLE)
        self.ended: list[DeliverySender] = []

    def sender(
        self,
        id_: str = "d1",
        *,
        batches: int = 1,
        attempt: int = 0,
        probe: bool = False,
        failures: int = 0,
        ended: Callable[[DeliverySender], None] | None = None,
    ) -> DeliverySender:
        """An errand that was just claimed."""
        return DeliverySender(
            ref(id_, attempt=attempt, probe=probe, count=batches, failures=failures),
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


class ForgetfulBoard(MemoryCoordination):
    """A board that can be away: every call is refused, and counted, while `away` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.refusals: SimpleQueue[str] = SimpleQueue()

    def leave(self) -> None:
        """Be away from now on."""
        self.away = True

    def claim(self, refs: Sequence[DeliveryRef]) -> list[bytes | ClaimDenied]:
        """As MemoryCoordination, unless it is away."""
        self._answer("claim")
        return super().claim(refs)

    def flush(self, flush: ReportFlush) -> None:
        """As MemoryCoordination, unless it is away."""
        self._answer("flush")
        super().flush(flush)

    def offer(self, offers: Sequence[Publication]) -> None:
        """As MemoryCoordination, unless it is away."""
        self._answer("offer")
        super().offer(offers)

    def revoke(self, slots: Sequence[str]) -> None:
        """As MemoryCoordination, unless it is away."""
        self._answer("revoke")
        super().revoke(slots)

    def _answer(self, call: str) -> None:
        if self.away:
            self.refusals.put(call)
            raise QueueUnavailable


def hear(coordination: MemoryCoordination, count: int, *, but: ReportKind | None = None) -> list[Report]:
    """So many reports, as ingest reads them, those of one kind left out; fails when they do not come."""
    found: list[Report] = []
    after = "0"
    while len(found) < count:
        reports, after = coordination.reports("ingest", after, PATIENCE_S)
        assert reports, f"only {found} came"
        found += [report for report in reports if report.kind is not but]
    return found
