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
    slots = fields.Integer(metadata={"description": "tasks it works on at once"})
    busy = fields.Integer()
    since_began_s = fields.Float(allow_none=True)
    since_ended_s = fields.Float(allow_none=True)
    silent_s = fields.Float()


class HealthSchema(Schema):
    """The process is alive; and how the system is, as far as it could be said at once."""

    status = fields.String(metadata={"enum": ["ok", "degraded"], "description": "degraded: there are faults"})
    faults = fields.List(fields.Nested(FaultSchema))
    workers = fields.List(fields.Nested(WorkerSchema))
    queues = fields.Dict(
        keys=fields.String(), values=fields.Integer(), metadata={"description": "tasks that wait, by queue"}
    )
    undeliverable_addresses = fields.Integer(
        allow_none=True,
        metadata={"description": "addresses that alerts do not get to; each subscription's status names its own"},
    )
    deliveries_in_flight = fields.Integer(allow_none=True, metadata={"description": "of all ingest processes"})
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
