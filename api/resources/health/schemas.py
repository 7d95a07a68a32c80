"""What /health and /ready answer."""

from marshmallow import Schema, fields


class FaultSchema(Schema):
    """A part of the system that does not work."""

    code = fields.String(metadata={"example": "queue_unavailable"})
    since = fields.String(metadata={"description": "ISO 8601, UTC"})
    detail = fields.String()
    member = fields.String(metadata={"description": "the ingest process that sees it; `api` for this one"})


class WorkerSchema(Schema):
    """A worker process, as it was `silent_s` ago; the ages are of that moment, null before its first task."""

    id = fields.String()
    queues = fields.List(fields.String())
    threads = fields.Integer(metadata={"description": "tasks it works on at once"})
    busy = fields.Integer()
    since_began_s = fields.Float(allow_none=True)
    since_ended_s = fields.Float(allow_none=True)
    silent_s = fields.Float()


class OfflineSchema(Schema):
    """Since when webhookd is offline, and why."""

    since = fields.String(metadata={"description": "ISO 8601, UTC"})
    message = fields.String()


class SubscriptionCountsSchema(Schema):
    """How many subscriptions are in which state; healthy, failing, unhealthy and inactive add up to total."""

    total = fields.Integer()
    healthy = fields.Integer()
    failing = fields.Integer(metadata={"description": "not unhealthy yet: the last attempt failed, another follows"})
    unhealthy = fields.Integer()
    inactive = fields.Integer()
    circuit_open = fields.Integer(
        metadata={"description": "of the unhealthy: no attempt is left, a probe is made now and then"}
    )
    unhealthy_by_reason = fields.Dict(keys=fields.String(), values=fields.Integer())
    inactive_by_reason = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        metadata={"description": "owner: its owner switched it off; offline: its owner did not, webhookd is offline"},
    )


class HealthSchema(Schema):
    """The process is alive; and how the system is, as far as it could be said at once."""

    status = fields.String(
        metadata={
            "enum": ["ok", "degraded", "offline"],
            "description": "degraded: there are faults; offline: nothing is delivered, whether or not there are faults",
        }
    )
    offline = fields.Nested(OfflineSchema, allow_none=True)
    faults = fields.List(fields.Nested(FaultSchema))
    subscriptions = fields.Nested(
        SubscriptionCountsSchema, allow_none=True, metadata={"description": "null: the database did not answer"}
    )
    workers = fields.List(fields.Nested(WorkerSchema))
    queues = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "tasks that wait, by queue"}
    )
    undeliverable_addresses = fields.Integer(
        allow_none=True,
        metadata={"description": "addresses that alerts do not get to; each subscription's status names its own"},
    )
    deliveries_in_flight = fields.Integer(allow_none=True, metadata={"description": "of all ingest processes"})
    longest_iteration_s = fields.Float(
        allow_none=True,
        metadata={
            "description": "the longest iteration of an ingest loop in the last minute, in seconds; records of its "
            "subscriptions may have been delayed by as much"
        },
    )
    oldest_unanswered_s = fields.Float(
        allow_none=True, metadata={"description": "how long the oldest of them has had no answer"}
    )


class ReadySchema(Schema):
    """Each outside system, ok or failed."""

    status = fields.String(metadata={"enum": ["ok", "failed"]})
    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(metadata={"enum": ["ok", "failed"]}),
        metadata={"example": {"database": "ok", "queue": "ok", "kafka": "ok"}},
    )
