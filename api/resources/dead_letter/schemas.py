"""The wire format of dead letters."""

from typing import Any

from marshmallow import Schema, ValidationError, fields

from api.description import patterns
from api.description.keywords import accepts
from api.extensions.request_fields import Moment, QueryNumber, RequestField, shown
from api.extensions.request_schema import RequestSchema
from api.resources.subscription import validators
from webhookd.store.dead_letters import Place

PAGE = 20
PAGE_MAX = 100


@accepts(type="string", pattern=patterns.PLACE, examples=["orders:0:42"])
class PlaceField(RequestField):
    """A position as `topic:partition:offset`."""

    expected = "topic:partition:offset, such as orders:0:42"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        topic, *numbers = str(value).split(":")
        if len(numbers) != 2 or not all(n.isascii() and n.isdigit() and len(n) < 19 for n in numbers):
            return f"is {shown(value)}: write {self.expected}"
        try:
            validators.topic_name(topic)  # a NUL in a query is an error of PostgreSQL
        except ValidationError as error:
            return f"has a topic that {error.messages[0]}"
        return None

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> Place:
        del attr, data, kwargs
        topic, partition, offset = str(value).split(":")
        return topic, int(partition), int(offset)


class DeadLetterPageSchema(RequestSchema):
    """Which page of the dead letters to return."""

    after = PlaceField(
        load_default=None,
        metadata={
            "description": "The last position of the previous page, as `topic:partition:offset`; leave it out for the "
            "first page.",
        },
    )
    limit = QueryNumber(
        1,
        PAGE_MAX,
        load_default=PAGE,
        metadata={
            "description": "How many dead letters a page holds at most. A page of large records is shorter; the `Link` "
            "header shows whether there is another page."
        },
    )


class OlderThanSchema(RequestSchema):
    """Which dead letters to delete."""

    older_than = Moment(
        format="iso",
        load_default=None,
        metadata={
            "description": "Only those that were stored before this time (ISO 8601 with a time zone); all if left out."
        },
    )


class DeletedSchema(Schema):
    """What a request deleted."""

    deleted = fields.Integer(metadata={"description": "How many dead letters were deleted."})
    more = fields.Boolean(metadata={"description": "`true`: there are more; send the request again."})


_BYTES = 'as text, or as `{"base64": "…"}` where the bytes are not UTF-8; null where there is none.'


class LetterHeaderSchema(Schema):
    """One header of a record."""

    name = fields.String(metadata={"description": "The header's name."})
    value = fields.Raw(allow_none=True, metadata={"description": f"The header's value, {_BYTES}"})


class DeadLetterSchema(Schema):
    """A record that was not delivered, and why."""

    topic = fields.String(metadata={"description": "The topic that the record was read from."})
    partition = fields.Integer(metadata={"description": "Its partition."})
    offset = fields.Integer(metadata={"description": "Its offset."})
    timestamp = fields.Integer(metadata={"description": "The record's timestamp, in milliseconds since the epoch."})
    key = fields.Raw(allow_none=True, metadata={"description": f"The record's key, {_BYTES}"})
    headers = fields.List(
        fields.Nested(LetterHeaderSchema), metadata={"description": "The record's headers, in their order."}
    )
    value = fields.Raw(allow_none=True, metadata={"description": f"The record's value, unchanged, {_BYTES}"})
    hidden = fields.Boolean(
        metadata={
            "description": "`true`: key, headers and value are not shown, because the policies of the topic changed "
            "after the record was stored, or do not allow the topic any more. Operators see them."
        }
    )
    cause = fields.String(metadata={"description": "Why it was not delivered: `not_json`, `http_422`, …"})
    detail = fields.String(
        metadata={"description": "The cause for people: what the endpoint returned, or what webhookd found."}
    )
    status = fields.Integer(
        allow_none=True, metadata={"description": "The HTTP status of the last attempt; null without one."}
    )
    attempts = fields.Integer(metadata={"description": "How often its batch was sent."})
    stored = fields.String(metadata={"description": "When it was stored: ISO 8601, UTC."})
