"""The one task: `webhookd.deliver` takes a parcel of tickets."""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

from celery import Celery, Task
from celery.exceptions import Reject
from kombu.exceptions import KombuError, OperationalError

from webhookd import logs
from webhookd.errors import Unavailable
from webhookd.flow.dispatch.task_message import DeliveryRef, describe, ref_from_wire, ref_to_wire
from workers.celery_countdown import countdown, request_kind
from workers.coordination_clock import CoordinationClock
from workers.delivery.task_handler import BACK_OFF_S, PublishRetry
from workers.task_names import DELIVER, RETRY

_log = logs.get(__name__)


class Delivers(Protocol):
    """What works on parcels."""

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry) -> None:
        """Returns when all is reported. Raises Unavailable before anything was claimed."""


def register(app: Celery, handler: Callable[[], Delivers], clock: CoordinationClock) -> None:
    """Make the application able to work on parcels; `desk` answers the process' desk, started."""

    def publish_retry(task: Task, ref: DeliveryRef, wait_s: float) -> None:
        _retry(task, ref, countdown(wait_s, clock))

    def deliver(task: Task, parcel: list[dict[str, Any]]) -> None:
        refs = [ref_from_wire(wire) for wire in parcel]
        try:
            handler().deliver(refs, partial(publish_retry, task))
        except Unavailable as error:
            _log.warning("parcel_delayed", code=error.code, detail=error.detail, deliveries=[t.id for t in refs])
            raise task.retry(exc=error, argsrepr=describe(refs), **countdown(BACK_OFF_S, clock)) from error

    # Not shared: Celery would hand this application's desk to every later one of the same process.
    app.task(bind=True, name=DELIVER, max_retries=None, shared=False, Request=request_kind(clock))(deliver)


def _retry(task: Task, ref: DeliveryRef, waiting: dict[str, Any]) -> None:
    """Publish the failed batch's retry. A publish that fails is unknown: the lease in ingest covers it."""
    try:
        task.retry(
            args=[[ref_to_wire(ref)]],
            kwargs={},
            queue=RETRY,
            throw=False,
            task_id=str(uuid4()),
            argsrepr=describe([ref]),
            **waiting,
        )
    except Reject as error:
        raise Reject(error.reason, requeue=True) from error
    except (KombuError, OperationalError) as error:
        _log.warning("retry_unpublished", delivery=ref.id, subscription=ref.subscription, detail=str(error))
