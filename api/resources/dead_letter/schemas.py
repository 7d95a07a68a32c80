"""The wire format of dead letters."""

from marshmallow import Schema, ValidationError, fields
from marshmallow.validate import Range

from api.resources.subscription import validators
from webhookd.store.dead_letters import Place

PAGE = 20
PAGE_MAX = 100


class PlaceField(fields.Field[Place]):
    """A position as `topic:partition:offset`."""

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> Place:
        del attr, data, kwargs
        topic, *numbers = str(value).split(":")
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 19 for n in numbers):
            raise ValidationError("is not topic:partition:offset")
        validators.topic(topic)  # a NUL in a query is an error of PostgreSQL
        return topic, int(numbers[0]), int(numbers[1])


class DeadLetterPageSchema(Schema):
    """Which part of the dead letters."""

    after = PlaceField(
        load_default=None,
        metadata={"description": "The last position of the page before: topic:partition:offset.", "type": "string"},
    )
    limit = fields.Integer(
        load_default=PAGE,
        validate=Range(1, PAGE_MAX),
        metadata={"description": "A page of large records is shorter; the Link header says whether there is more."},
    )


class OlderThanSchema(Schema):
    """Which dead letters."""

    older_than = fields.AwareDateTime(
        format="iso",
        load_default=None,
        metadata={"description": "Only those stored before this time (ISO 8601 with a time zone). All, if not given."},
    )


class DeletedSchema(Schema):
    """What a request deleted."""

    deleted = fields.Integer(metadata={"description": "how many dead letters"})
    more = fields.Boolean(metadata={"description": "true: there are more, send the request again"})


_BYTES = {"description": 'text, or {"base64": "…"} where it is not UTF-8; null where there is none'}


class LetterHeaderSchema(Schema):
    """One header of a record."""

    name = fields.String()
    value = fields.Raw(allow_none=True, metadata=_BYTES)


class DeadLetterSchema(Schema):
    """A record that was put aside, and why."""

    topic = fields.String()
    partition = fields.Integer()
    offset = fields.Integer()
    timestamp = fields.Integer(metadata={"description": "of the record, milliseconds since the epoch"})
    key = fields.Raw(allow_none=True, metadata=_BYTES)
    headers = fields.List(fields.Nested(LetterHeaderSchema))
    value = fields.Raw(allow_none=True, metadata=_BYTES | {"description": f"its exact bytes: {_BYTES['description']}"})
    cause = fields.String(metadata={"description": "one short word: not_json, http_422, …"})
    detail = fields.String(metadata={"description": "for people; what the endpoint answered, if it was asked"})
    status = fields.Integer(allow_none=True, metadata={"description": "the endpoint's last answer"})
    attempts = fields.Integer(metadata={"description": "how often it was sent"})
    stored = fields.String(metadata={"description": "when it was put aside: ISO 8601, UTC"})
