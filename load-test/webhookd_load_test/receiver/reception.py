"""Decides how a request is answered, keeps it, and counts it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache

from command.received_request import ShownRequest
from command.receiver_consent import consent_to
from webhookd.testing.http_endpoint import Answer, ReceivedRequest
from webhookd.testing.http_exchange import Misbehaviour
from webhookd_load_test.receiver.counts import Counts
from webhookd_load_test.receiver.delivered_records import DeliveredRecord, records_in
from webhookd_load_test.receiver.fault_choice import FaultChoice
from webhookd_load_test.receiver.faults import Fault
from webhookd_load_test.receiver.received_file import NotKeptError, Received
from webhookd_load_test.receiver.secrets_file import SecretsFile
from webhookd_load_test.receiver.signatures import verified

OK = Answer()
NO_DELIVERY = Answer(status=400, body=b"This is not a delivery of webhookd.\n")
NOT_SIGNED = Answer(status=401, body=b"The signature is not valid.\n")
NOT_KEPT = Answer(status=503, body=b"This endpoint cannot keep what it gets.\n")
HANG = Answer(misbehaviour=Misbehaviour.HANG)


class Reception:
    """Handles the requests of one process, on one thread. What is not kept is answered with 503.

    `keep` takes what is to be kept, and raises NotKeptError. The faults count from `begin` on; there are none before.
    """

    def __init__(self, *, keep: Callable[[Received], None], faults: FaultChoice, secrets: SecretsFile) -> None:
        self.counts = Counts()
        self._keep = keep
        self._faults = faults
        self._secrets = secrets
        self._began_ns: int | None = None
        self._numbers: defaultdict[str, int] = defaultdict(int)

    def begin(self, at_ns: int) -> None:
        """Let the times of the faults count from this moment on, in nanoseconds since the epoch. Any thread."""
        self._began_ns = at_ns

    def handle(self, request: ReceivedRequest) -> Answer:
        """Return the answer to a request; blocks while too much is to be written."""
        headers = request.headers
        signed = request.method != "OPTIONS"  # with which webhookd only asks for a consent
        signature = verified(headers, request.body, self._secrets.of(request.path) if signed else ())
        records = records_in(request.body)
        if signature == "invalid":
            answer = NOT_SIGNED
        elif records is None:
            answer = _consent(request) or NO_DELIVERY
        else:
            answer = self._answer(request, headers, records)
        status = 0 if answer.misbehaviour else answer.status
        received = Received(
            request.received_ns,
            request.path,
            status,
            headers.get("webhook-id"),
            len(request.body),
            signature,
            records or (),
        )
        try:
            self._keep(received)
        except NotKeptError:
            answer = NOT_KEPT
        self._count(answer, received)
        return answer

    def _answer(self, request: ReceivedRequest, headers: dict[str, str], records: Sequence[DeliveredRecord]) -> Answer:
        if self._began_ns is None:
            return OK
        identity = self._identity(request.path, headers.get("webhook-attempt"), records)
        fault = self._faults.choose(request.path, identity, request.received_ns - self._began_ns)
        return OK if fault is None else _answer_with(fault)

    def _identity(self, path: str, attempt: str | None, records: Sequence[DeliveredRecord]) -> Sequence[object]:
        """What the request is. One that does not say its attempt, as no request of webhookd, is its number."""
        if attempt is not None and records:
            return (*records[0][:3], attempt)
        self._numbers[path] += 1
        return (self._numbers[path],)

    def _count(self, answer: Answer, received: Received) -> None:
        self.counts.requests += 1
        if answer.acknowledges:
            self.counts.records += len(received.records)
        else:
            self.counts.refused += 1


@cache
def _answer_with(fault: Fault) -> Answer:
    match fault.kind:
        case "error":
            return Answer(status=fault.status)
        case "limit":
            return Answer(status=429, headers={"Retry-After": str(fault.retry_after_s)})
        case "timeout":
            return HANG
        case "slow":
            return Answer(delay_s=fault.delay_s)


def _consent(request: ReceivedRequest) -> Answer | None:
    """The consent to a request that asks for it."""
    consent = consent_to(ShownRequest(request.method, request.path, request.header_lines, request.body))
    return None if consent is None else Answer(headers=consent.headers, body=consent.body)
