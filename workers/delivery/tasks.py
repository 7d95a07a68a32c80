"""The Celery tasks.

webhookd.deliver   its argument is a list of delivery references
webhookd.verify    its argument is a delivery reference without lanes and records: its id is that of the question
"""

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
from webhookd.metrics.service_calls import REDIS, MeasuredCall
from workers.celery_countdown import countdown, request_kind
from workers.coordination_clock import CoordinationClock
from workers.delivery.task_handler import BACK_OFF_S, PublishRetry
from workers.task_names import DELIVER, RETRY, SESSION, VERIFY

_log = logs.get(__name__)


class Handler(Protocol):
    """The task handler, as the Celery task calls it."""

    def deliver(self, refs: list[DeliveryRef], publish_retry: PublishRetry, *, may_stay: bool) -> None:
        """Send and report the deliveries of a task. Blocks. Raises Unavailable, but only before it claims any.

        With `may_stay` the task may stay open for further deliveries.
        """


class Verifier(Protocol):
    """What asks endpoints, as the Celery task calls it."""

    def verify(self, ref: DeliveryRef) -> None:
        """Ask an endpoint whether it wants the requests. Returns before the answer."""


def register(app: Celery, handler: Callable[[], Handler], clock: CoordinationClock) -> None:
    """Add the task of deliveries to an application; `handler` returns the started task handler of the process."""

    def publish_retry(task: Task, ref: DeliveryRef, wait_s: float) -> None:
        _retry(task, ref, countdown(wait_s, clock))

    def deliver(task: Task, wires: list[dict[str, Any]]) -> None:
        refs = [ref_from_wire(wire) for wire in wires]
        try:
            may_stay = bool(getattr(task.request, SESSION, 0))
            handler().deliver(refs, partial(publish_retry, task), may_stay=may_stay)
        except Unavailable as error:
            _log.warning("task_delayed", code=error.code, detail=error.detail, deliveries=[ref.id for ref in refs])
            raise task.retry(exc=error, argsrepr=describe(refs), **countdown(BACK_OFF_S, clock)) from error

    # Not shared: Celery would add this application's task to every application that the process makes later.
    app.task(bind=True, name=DELIVER, max_retries=None, shared=False, Request=request_kind(clock))(deliver)


def register_verification(app: Celery, verifier: Verifier) -> None:
    """Add the task that asks an endpoint to an application."""

    def verify(wire: dict[str, Any]) -> None:
        verifier.verify(ref_from_wire(wire))

    app.task(name=VERIFY, shared=False)(verify)


def _retry(task: Task, ref: DeliveryRef, waiting: dict[str, Any]) -> None:
    """Publish a retry; a first attempt that was not claimed stays in its queue.

    If that fails, ingest dispatches the delivery again: a retry when its lease has run out, another one sooner.
    """
    try:
        with MeasuredCall(REDIS, "publish", (Reject, KombuError, OperationalError)):
            task.retry(
                args=[[ref_to_wire(ref)]],
                kwargs={},
                queue=RETRY if ref.attempt else None,
                throw=False,
                task_id=str(uuid4()),
                argsrepr=describe([ref]),
                **waiting,
            )
    except Reject as error:
        raise Reject(error.reason, requeue=True) from error
    except (KombuError, OperationalError) as error:
        _log.warning("retry_not_published", delivery=ref.id, subscription=ref.subscription, detail=str(error))
