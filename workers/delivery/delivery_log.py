"""The line of the log about the end of a delivery: all that is known of it, in one line.

event              what has ended
delivered          a delivery of which at least one batch was acknowledged, and none failed
attempt_failed     an attempt whose last batch was not acknowledged
delivery_returned  a delivery that was stopped before its first response

docs/reference/log-events.md lists the fields. What an endpoint responds is not in the line, nor the path of its URL.
"""

from typing import Any, Final
from zlib import crc32

from webhookd import logs
from webhookd.flow.attempt.exchange_result import Response
from webhookd.flow.attempt.judge import Refused, RetryAt
from workers.delivery.delivery_sender import DeliverySender

_CRC_VALUES: Final = 2**32

_log = logs.get(__name__)


class DeliveryLog:
    """Shared by all task threads of a worker process, which its lines call `worker`.

    Of the deliveries that succeeded it logs the share `delivered_ratio`, chosen by their ids: then a line has this
    ratio as `sample_ratio`, by which a count of lines is to be divided.
    """

    def __init__(self, worker: str, delivered_ratio: float = 1.0) -> None:
        self._worker = worker
        self._below = round(delivered_ratio * _CRC_VALUES)
        self._samples = delivered_ratio < 1.0
        self._delivered_ratio = delivered_ratio

    def ended(self, sender: DeliverySender, trace_id: str = "") -> None:
        """Log how an attempt of a delivery has ended; `trace_id` is empty when it is not traced."""
        if sender.failure_code:
            _log.warning("attempt_failed", **_failure(sender), **self._facts(sender, trace_id))
        elif not sender.done:
            _log.info("delivery_returned", **self._facts(sender, trace_id))
        elif not self._samples:
            _log.info("delivered", **_success(sender), **self._facts(sender, trace_id))
        elif crc32(sender.ref.id.encode()) < self._below:
            facts = self._facts(sender, trace_id)
            _log.info("delivered", sample_ratio=self._delivered_ratio, **_success(sender), **facts)

    def _facts(self, sender: DeliverySender, trace_id: str) -> dict[str, Any]:
        """The fields of all three events. The sum of the bytes takes about 0.03 µs for each batch."""
        ref, done, batches = sender.ref, sender.done, sender.batches
        whole = done == len(batches)
        facts: dict[str, Any] = {
            "subscription": ref.subscription,
            "version": ref.version,
            "tenant": sender.tenant,
            "lanes": [*ref.lanes],
            "delivery": ref.id,
            "attempt": ref.attempt,
            "batches": done,
            "records": ref.records if whole else sum([batch.records for batch in batches[:done]]),
            "bytes": sum([len(batch.body) for batch in (batches if whole else batches[:done])]),
            "host": sender.target.host,
            "sending_s": round(sender.elapsed_s, 6),
            "worker": self._worker,
        }
        if ref.probe:
            facts["probe"] = True
        if sender.paced_s:
            facts["paced_s"] = round(sender.paced_s, 6)
        if trace_id:
            facts["trace_id"] = trace_id
        return facts


def _success(sender: DeliverySender) -> dict[str, Any]:
    return {
        "first_webhook_id": sender.batches[0].webhook_id,
        "webhook_id": sender.batches[sender.done - 1].webhook_id,
        "status": _status(sender),
    }


def _failure(sender: DeliverySender) -> dict[str, Any]:
    failed, verdict = sender.batches[sender.done], sender.verdict
    return {
        "code": sender.failure_code,
        "status": _status(sender),
        "detail": sender.failure_detail,
        "retry_in_s": round(verdict.wait_s, 1) if isinstance(verdict, RetryAt) else None,
        "refused": str(verdict.why) if isinstance(verdict, Refused) else None,
        "webhook_id": failed.webhook_id,
        "failed_records": failed.records,
        "failed_bytes": len(failed.body),
        "failures": sender.failures_before + sender.ref.attempt + 1,
    }


def _status(sender: DeliverySender) -> int | None:
    outcome = sender.last_outcome
    return outcome.status if isinstance(outcome, Response) else None
