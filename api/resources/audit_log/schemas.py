"""The wire format of the audit log."""

import math
from typing import Any

from marshmallow import Schema, ValidationError, fields

from api.description.keywords import accepts
from api.extensions.request_fields import Moment, QueryNumber, RequestField, Text, shown
from api.extensions.request_schema import RequestSchema
from webhookd.flow.access.caller import Role
from webhookd.store.audit_log import Place

PAGE = 100
PAGE_MAX = 500
PLACE = r"^[0-9]{1,12}(?:\.[0-9]{1,9})?:[0-9]{1,18}$"
LONGEST = 100
"""The most characters of a value to search for; no column is longer."""


class PlaceField(RequestField):
    """The place of an entry, as `Link` has it."""

    expected = "the value of a Link header, such as 1764374400.5:42"

    def mistake(self, value: Any) -> str | None:  # noqa: ANN401
        """See RequestField."""
        try:
            at, id_ = _place(str(value))
        except ValueError:
            return f"is {shown(value)}: write {self.expected}"
        return None if math.isfinite(at) and 0 <= id_ < 1 << 63 else f"is {shown(value)}: write {self.expected}"

    def _deserialize(self, value: object, attr: str | None, data: object, **kwargs: object) -> Place:
        del attr, data, kwargs
        return _place(str(value))


def _place(text: str) -> Place:
    if not text.isascii() or len(text) > LONGEST:
        raise ValueError(text)
    at, _, id_ = text.partition(":")
    return float(at), int(id_)


def _wanted(description: str) -> Text:
    return Text(least=1, most=LONGEST, load_default=None, validate=_storable, metadata={"description": description})


@accepts(pattern=r"^[^\x00]+$")
def _storable(text: str) -> None:
    """Raise ValidationError for what a query cannot contain."""
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValidationError("has a NUL character or half of a surrogate pair")


class AuditQuerySchema(RequestSchema):
    """Which entries to return; an entry has to meet all that is given."""

    key_id = _wanted("Only changes that were made with this API key.")
    subject_kind = _wanted("Only changes of this kind of subject, such as `Subscription`.")
    subject_id = _wanted("Only changes of the subject with this id.")
    tenant = _wanted("Only changes of what belongs to this tenant.")
    action = _wanted("Only this kind of change, such as `delete`.")
    since = Moment(
        format="iso",
        load_default=None,
        metadata={"description": "Only changes at or after this time (ISO 8601 with a time zone)."},
    )
    until = Moment(
        format="iso",
        load_default=None,
        metadata={"description": "Only changes before this time (ISO 8601 with a time zone)."},
    )
    after = PlaceField(
        load_default=None,
        metadata={
            "description": "Where the next page begins: the `Link` header has it.",
            "type": "string",
            "pattern": PLACE,
        },
    )
    limit = QueryNumber(
        1, PAGE_MAX, load_default=PAGE, metadata={"description": "How many entries a page holds at most."}
    )


class AuditEntrySchema(Schema):
    """One change."""

    id = fields.Integer(metadata={"description": "The entry's number."})
    at = fields.String(metadata={"description": "When: ISO 8601, UTC."})
    key_id = fields.String(metadata={"description": "The public part of the API key; empty without a key."})
    key_name = fields.String(
        metadata={"description": "The name of the API key; `webhookd` for what webhookd did by itself."}
    )
    role = fields.String(metadata={"enum": [role.value for role in Role], "description": "The role of the caller."})
    address = fields.String(metadata={"description": "The client's IP address; empty for a command and for webhookd."})
    tenant = fields.String(
        allow_none=True, metadata={"description": "Whose subject it is; null for what belongs to the service."}
    )
    action = fields.String(
        metadata={"description": "What was done: `create`, `change`, `activate`, `deactivate`, `delete`, …"}
    )
    subject_kind = fields.String(
        metadata={
            "description": "What was changed: `Subscription`, `SigningSecret`, `Verification`, `DeadLetter`, "
            "`EventNotificationAdmin`, `Key` or `Policy`."
        }
    )
    subject_id = fields.String(
        metadata={
            "description": "Its id; for dead letters, signing secrets and verifications that of the subscription."
        }
    )
    before = fields.Raw(
        allow_none=True, metadata={"description": "The subject before the change, with secrets masked; null if new."}
    )
    after = fields.Raw(
        allow_none=True, metadata={"description": "The subject after the change, with secrets masked; null if deleted."}
    )
