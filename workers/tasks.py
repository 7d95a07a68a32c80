"""The one task: `webhookd.deliver` takes a parcel of tickets."""

from collections.abc import Callable
from typing import Any, Protocol
from uuid import uuid4

from celery import Celery, Task
from celery.exceptions import Reject
from kombu.exceptions import KombuError, OperationalError

from webhookd import logs
from webhookd.errors import Unavailable
from webhookd.flow.ticket import Ticket, describe, ticket_from_wire, ticket_to_wire
from workers.desk import BACK_OFF_S, PublishRetry
from workers.queues import DELIVER, RETRY

_log = logs.get(__name__)


class Delivers(Protocol):
    """What works on parcels."""

    def deliver(self, tickets: list[Ticket], publish_retry: PublishRetry) -> None:
        """Returns when all is reported. Raises Unavailable before anything was claimed."""


def register(app: Celery, desk: Callable[[], Delivers]) -> None:
    """Make the application able to work on parcels; `desk` answers the process' desk, started."""

    def deliver(task: Task, parcel: list[dict[str, Any]]) -> None:
        tickets = [ticket_from_wire(wire) for wire in parcel]
        try:
            desk().deliver(tickets, lambda ticket, wait_s: _retry(task, ticket, wait_s))
        except Unavailable as error:
            _log.warning("parcel_delayed", code=error.code, detail=error.detail, deliveries=[t.id for t in tickets])
            raise task.retry(exc=error, countdown=BACK_OFF_S, argsrepr=describe(tickets)) from error

    # Not shared: Celery would hand this application's desk to every later one of the same process.
    app.task(bind=True, name=DELIVER, max_retries=None, shared=False)(deliver)


def _retry(task: Task, ticket: Ticket, wait_s: float) -> None:
    """Publish the failed batch's retry. A publish that fails is unknown: the lease in ingest covers it."""
    try:
        task.retry(
            args=[[ticket_to_wire(ticket)]],
            kwargs={},
            countdown=wait_s,
            queue=RETRY,
            throw=False,
            task_id=str(uuid4()),
            argsrepr=describe([ticket]),
        )
    except Reject as error:
        raise Reject(error.reason, requeue=True) from error
    except (KombuError, OperationalError) as error:
        _log.warning("retry_unpublished", delivery=ticket.id, subscription=ticket.subscription, detail=str(error))
