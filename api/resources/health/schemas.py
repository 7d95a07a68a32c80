"""The wire format of /health and /ready."""

from marshmallow import Schema, fields

from api.description.keywords import accepts
from api.description.objects import ALWAYS


class FaultSchema(Schema):
    """A part of the system that does not work."""

    code = fields.String(metadata={"description": "Which fault.", "example": "queue_unavailable"})
    since = fields.String(metadata={"description": "When it began: ISO 8601, UTC."})
    detail = fields.String(metadata={"description": "The fault for people."})
    member = fields.String(metadata={"description": "The ingest process that reports it; `api` for the API process."})


class WorkerSchema(Schema):
    """A worker process, as its last heartbeat described it."""

    id = fields.String(metadata={"description": "The worker's id."})
    queues = fields.List(fields.String(), metadata={"description": "The queues that it takes tasks from."})
    threads = fields.Integer(metadata={"description": "How many tasks it carries out at the same time."})
    busy = fields.Integer(metadata={"description": "How many tasks it carries out now."})
    since_began_s = fields.Float(
        allow_none=True,
        metadata={"description": "Seconds from the last start of a task to the heartbeat; null before the first task."},
    )
    since_ended_s = fields.Float(
        allow_none=True,
        metadata={"description": "Seconds from the last end of a task to the heartbeat; null before the first end."},
    )
    store_error = fields.String(metadata={"description": "Why the worker cannot read the database; empty when it can."})
    secrets_error = fields.String(
        metadata={
            "description": "Which subscriptions' secrets the worker cannot decrypt, and why; empty when there is none."
        }
    )
    silent_s = fields.Float(metadata={"description": "How old the heartbeat is, in seconds."})


class OfflineSchema(Schema):
    """Since when webhookd is offline, and why."""

    since = fields.String(metadata={"description": "ISO 8601, UTC."})
    message = fields.String(metadata={"description": "The reason that was given."})


class SubscriptionCountsSchema(Schema):
    """How many subscriptions are in which state."""

    total = fields.Integer(metadata={"description": "All: healthy, failing, unhealthy and inactive ones."})
    healthy = fields.Integer(metadata={"description": "Those that deliver, or have nothing to deliver."})
    failing = fields.Integer(
        metadata={"description": "Those that are not unhealthy yet: the last attempt failed and another follows."}
    )
    unhealthy = fields.Integer(metadata={"description": "Those that deliver less than they should."})
    inactive = fields.Integer(metadata={"description": "Those that are deactivated; while offline all."})
    circuit_open = fields.Integer(
        metadata={"description": "Of the unhealthy, those without an attempt left; they are probed at intervals."}
    )
    unhealthy_by_reason = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "The unhealthy ones by reason."}
    )
    inactive_by_reason = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={
            "description": "The inactive ones by reason. `owner`: the owner deactivated it. `offline`: it is active, "
            "but webhookd is offline."
        },
    )


@accepts(**{ALWAYS: ["status"]})
class HealthSchema(Schema):
    """The process is alive. The rest describes the system, as far as it could be found within a second.

    All fields but `status` are for admins.
    """

    status = fields.String(
        metadata={
            "enum": ["ok", "degraded", "offline"],
            "description": "`degraded`: there are faults. `offline`: nothing is delivered, with or without faults.",
        }
    )
    warnings = fields.List(
        fields.String(),
        metadata={"description": "Settings that must not stay: `WEBHOOKD_API_AUTH=none`. They are no faults."},
    )
    offline = fields.Nested(OfflineSchema, allow_none=True, metadata={"description": "Only while offline; else null."})
    faults = fields.List(fields.Nested(FaultSchema), metadata={"description": "What does not work."})
    subscriptions = fields.Nested(
        SubscriptionCountsSchema, allow_none=True, metadata={"description": "Null when the database did not answer."}
    )
    workers = fields.List(fields.Nested(WorkerSchema), metadata={"description": "The workers that have a heartbeat."})
    queues = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "How many tasks wait in each queue."}
    )
    undeliverable_addresses = fields.Integer(
        allow_none=True,
        metadata={"description": "How many addresses alerts do not reach; each subscription's status lists its own."},
    )
    deliveries_in_flight = fields.Integer(
        allow_none=True, metadata={"description": "How many deliveries are in flight, in all ingest processes."}
    )
    longest_iteration_s = fields.Float(
        allow_none=True,
        metadata={
            "description": "The longest iteration of an ingest loop in the last minute, in seconds. It may have "
            "delayed records of that process's subscriptions by as much."
        },
    )
    oldest_unanswered_s = fields.Float(
        allow_none=True,
        metadata={"description": "How long the oldest delivery in flight has been without a report, in seconds."},
    )


class ReadySchema(Schema):
    """Whether the process can work, and each service that it needs."""

    status = fields.String(metadata={"enum": ["ok", "failed"], "description": "`ok` when every check is `ok`."})
    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(metadata={"enum": ["ok", "failed"]}),
        metadata={
            "description": "Each service by its name.",
            "example": {"database": "ok", "queue": "failed", "kafka": "ok"},
        },
    )
    details = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "Why, for each service that failed; for people.",
            "example": {"queue": "queue_unavailable: Connection refused"},
        },
    )
