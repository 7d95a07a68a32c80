"""Builders for the delivery worker: request template, batches, outcomes, and a clock that the test moves."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from tests.harness.lanes import MIDDLE
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.errors import QueueUnavailable
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Response
from webhookd.flow.attempt.secret_mask import SecretMask
from webhookd.flow.attempt.target import Target, request_head
from webhookd.flow.batching.batch import Batch
from webhookd.flow.destination import Destination
from webhookd.flow.dispatch.coordination import ClaimAnswer, Publication, Push, ReportFlush
from webhookd.flow.dispatch.delivery_session import SessionClaim
from webhookd.flow.dispatch.request_quota import PermitRequest
from webhookd.flow.dispatch.task_message import DeliveryRef
from webhookd.flow.subscription import Retry
from workers.delivery.attempt_tally import AttemptTally
from workers.delivery.delivery_sender import DeliverySender, RequestTemplate
from workers.delivery.request_observers import RequestObservers
from workers.delivery.send_limits import Clocks, SendLimits

LIMITS = SendLimits(budget_s=0.5, deadline_s=15.0, lease_s=5.0)
SECRET = "a secret of the subscription"
DESTINATION = Destination(url="https://example.com/hook", headers=(("X-Api-Key", SECRET),))
TARGET = Target.parse(DESTINATION.url)


def answer(status: int, body: bytes = b"") -> Response:
    """A response of the endpoint."""
    return Response(status=status, head=b"HTTP/1.1 %d" % status, body=body, elapsed_s=0.01)


def no_answer(code: FailureCode) -> Failure:
    """A failure without a response."""
    return Failure(code=code, detail="as the test says", elapsed_s=0.01, sent=True)


OK = answer(200)
PATIENCE_S = 5.0


def batches_of(count: int) -> list[Batch]:
    """Batches with different ids and bodies."""
    return [Batch(f"msg_{number}", 1, b"body-%d" % number) for number in range(count)]


def ref(
    id_: str = "d1",
    *,
    attempt: int = 0,
    probe: bool = False,
    lane: str = "orders/0",
    count: int = 1,
    failures: int = 0,
    traced: bool = False,
) -> DeliveryRef:
    """A reference to a delivery of one lane."""
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
        traced=traced,
    )


def template(retry: Retry | None = None) -> RequestTemplate:
    """The request template of the subscription."""
    head = request_head(TARGET, DESTINATION.headers, "application/json")
    return RequestTemplate(version=1, target=TARGET, head=head, retry=retry or Retry(), mask=SecretMask(DESTINATION))


class SenderScene:
    """Builds senders over clocks that the test moves, and collects those that ended."""

    def __init__(self, retry: Retry | None = None, budget_s: float = LIMITS.budget_s) -> None:
        self.now = 100.0
        self.wall = 1_700_000_000.5
        self.template = template(retry)
        self.limits = SendLimits(budget_s=budget_s, deadline_s=LIMITS.deadline_s, lease_s=LIMITS.lease_s)
        self.clocks = Clocks(monotonic=lambda: self.now, wall=lambda: self.wall, chance=lambda: MIDDLE)
        self.ended: list[DeliverySender] = []
        self.tally: AttemptTally | None = None

    def sender(
        self,
        id_: str = "d1",
        *,
        batches: int = 1,
        attempt: int = 0,
        probe: bool = False,
        failures: int = 0,
        ended: Callable[[DeliverySender], None] | None = None,
        traced: bool = False,
    ) -> DeliverySender:
        """A sender of a delivery that was just claimed."""
        return DeliverySender(
            ref(id_, attempt=attempt, probe=probe, count=batches, failures=failures, traced=traced),
            batches_of(batches),
            self.template,
            limits=self.limits,
            clocks=self.clocks,
            ended=ended or self.ended.append,
            observers=RequestObservers(tally=self.tally),
        )

    @staticmethod
    def body_of(request: bytes | None) -> bytes:
        """The body of a request."""
        assert request is not None
        return request.partition(b"\r\n\r\n")[2]


@dataclass(frozen=True, slots=True)
class End:
    """How a sender has ended: its report's kind, and how many batches are done."""

    kind: ReportKind
    done: int


def end_of(scene: SenderScene) -> End:
    """The end that the sender reports; it ended exactly once."""
    (sender,) = scene.ended
    report = sender.report()
    return End(report.kind, report.done)


class UnreliableCoordination(MemoryCoordination):
    """The coordination store in memory. While `unavailable` is set, each call is noted in `refusals` and raises."""

    def __init__(self) -> None:
        super().__init__()
        self.unavailable = False
        self.refusals: SimpleQueue[str] = SimpleQueue()

    def become_unavailable(self) -> None:
        """Raise from now on."""
        self.unavailable = True

    def claim(
        self,
        refs: Sequence[DeliveryRef],
        needed: Sequence[PermitRequest | None] = (),
        session: SessionClaim | None = None,
    ) -> list[ClaimAnswer]:
        """As MemoryCoordination; raises while unavailable."""
        self._raise_if_unavailable("claim")
        return super().claim(refs, needed, session)

    def send_reports(self, flush: ReportFlush) -> None:
        """As MemoryCoordination; raises while unavailable."""
        self._raise_if_unavailable("send_reports")
        super().send_reports(flush)

    def make_claimable(self, publications: Sequence[Publication], push: Push | None = None) -> bool:
        """As MemoryCoordination; raises while unavailable."""
        self._raise_if_unavailable("make_claimable")
        return super().make_claimable(publications, push)

    def close_session(self, session: str, received: int | None) -> bool:
        """As MemoryCoordination; raises while unavailable."""
        self._raise_if_unavailable("close_session")
        return super().close_session(session, received)

    def revoke(self, claim_keys: Sequence[str]) -> None:
        """As MemoryCoordination; raises while unavailable."""
        self._raise_if_unavailable("revoke")
        super().revoke(claim_keys)

    def revoke_others(self, subscriptions: Collection[str], keep: Mapping[str, str]) -> list[str]:
        """As MemoryCoordination; raises while unavailable."""
        self._raise_if_unavailable("revoke_others")
        return super().revoke_others(subscriptions, keep)

    def _raise_if_unavailable(self, call: str) -> None:
        if self.unavailable:
            self.refusals.put(call)
            raise QueueUnavailable


def wait_for_reports(coordination: MemoryCoordination, count: int, *, but: ReportKind | None = None) -> list[Report]:
    """So many reports, as ingest reads them, without those of the kind `but`; fails when they do not come in time."""
    found: list[Report] = []
    after = "0"
    while len(found) < count:
        reports, after = coordination.read_reports("ingest", after, PATIENCE_S)
        assert reports, f"only {found} came"
        found += [report for report in reports if report.kind is not but]
    return found
