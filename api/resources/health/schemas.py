"""What /health and /ready answer."""

from marshmallow import Schema, fields


class HealthSchema(Schema):
    """The process is alive."""

    status = fields.String(metadata={"example": "ok"})


class ReadySchema(Schema):
    """Each outside system, ok or failed."""

    status = fields.String(metadata={"enum": ["ok", "failed"]})
    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(metadata={"enum": ["ok", "failed"]}),
        metadata={"example": {"database": "ok", "queue": "ok", "kafka": "ok"}},
    )
