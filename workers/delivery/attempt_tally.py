"""Counts the attempts of a worker: their results and durations, and the records and bytes that were acknowledged.

A request of a worker takes about 25 µs of CPU, so what its acknowledgement costs here is paid at the end of its
delivery: the sender keeps the durations, and the rest is in the batches. A failure ends its delivery, and is counted at
once.

counted as an attempt                              and not
each request of a delivery that has a result       a request that this process aborted: it stops, or goes offline
a failure before the request could be sent, such   the question whether an endpoint wants the requests, which sends
as `dns_failed`, `address_refused` or              no records
`token_unavailable`                                the request for an access token (webhookd_token_requests_total)
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

from webhookd.flow.attempt.exchange_result import Failure, FailureCode, Outcome
from webhookd.flow.attempt.judge import failure_code
from webhookd.flow.batching.batch import Batch
from webhookd.flow.status.reason_codes import table_key
from webhookd.metrics.catalogue.worker import ACKNOWLEDGED_BYTES, ATTEMPT_DURATION, ATTEMPTS, BATCH_RECORDS
from webhookd.metrics.samples import Sample
from webhookd.metrics.tally import CounterTally, HistogramTally

ACKNOWLEDGED: Final = "acknowledged"

NO_REQUEST: Final = frozenset(
    {
        FailureCode.TOKEN_UNAVAILABLE,
        FailureCode.TOKEN_REFUSED,
        FailureCode.TOKEN_MALFORMED,
        FailureCode.TOKEN_NOT_ALLOWED,
    }
)
"""The duration in these failures is that of the request to the token endpoint."""


class AttemptTally:
    """The attempts of a process. Written by the exchange loop's thread only; `samples` may be called by any thread."""

    def __init__(self) -> None:
        self._results = CounterTally(ATTEMPTS)
        self._durations = HistogramTally(ATTEMPT_DURATION)
        self._records = HistogramTally(BATCH_RECORDS)
        self._bytes = 0

    def acknowledged(self, batches: Sequence[Batch], durations_s: list[float]) -> None:
        """Count the acknowledged batches of a delivery that has ended; sorts the durations of their requests."""
        self._results.add(ACKNOWLEDGED, len(batches))
        self._durations.observe_all(durations_s)
        self._records.observe_all([batch.records for batch in batches])
        self._bytes += sum([len(batch.body) for batch in batches])

    def failed(self, outcome: Outcome) -> None:
        """Count an attempt that was not acknowledged."""
        self._results.add(table_key(failure_code(outcome)))
        if not (isinstance(outcome, Failure) and outcome.code in NO_REQUEST):
            self._durations.observe(outcome.elapsed_s)

    def samples(self) -> Iterator[Sample]:
        """Return the values of this moment."""
        yield Sample(ACKNOWLEDGED_BYTES, (), self._bytes)
        yield from chain(self._results.samples(), self._durations.samples(), self._records.samples())
