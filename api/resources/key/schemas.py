"""The wire format of API keys."""

from datetime import datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, validates_schema

from api.description import patterns
from api.description.keywords import accepts
from api.description.objects import CONDITIONAL
from api.extensions.request_fields import Choice, Moment, QueryNumber, Text, WholeNumber
from api.extensions.request_schema import RequestSchema
from api.resources.subscription import validators
from webhookd import clock
from webhookd.errors import InvalidInput
from webhookd.flow.access.api_key import (
    LIFETIME_MOST_S,
    NAME_MOST,
    OVERLAP_MOST_S,
    OVERLAP_S,
    PUBLIC_BYTES,
    KeyState,
    is_public_part,
)
from webhookd.flow.access.caller import Role
from webhookd.flow.access.tenant_name import check_tenant_name

PAGE = 100
PAGE_MAX = 1000
TENANT_MOST = 64

ID_IN_PATH = {"in": "path", "name": "key_id", "description": "The public part of the key."}
"""The path parameter, for the OpenAPI document."""


@accepts(pattern=patterns.TENANT)
def tenant(value: str) -> None:
    """Raise ValidationError unless it can be the name of a tenant."""
    try:
        check_tenant_name(value)
    except InvalidInput as error:
        raise ValidationError(str(error)) from error


@accepts(pattern=f"^[0-9a-f]{{{2 * PUBLIC_BYTES}}}$")
def public_part(value: str) -> None:
    """Raise ValidationError unless it can be the public part of a key."""
    if not is_public_part(value):
        raise ValidationError("is not the id of a key")


BOTH_LIFETIMES = {
    "properties": {"expires_at": {"type": "string"}, "expires_in_seconds": {"type": "integer"}},
    "required": ["expires_at", "expires_in_seconds"],
}
TENANT_FITS = [
    {"properties": {"role": {"const": "admin"}, "tenant": {"type": "null"}}},
    {
        "properties": {"role": {"enum": ["client", "viewer"]}, "tenant": {"type": "string"}},
        "required": ["tenant"],
    },
]
"""Rules on two fields, in the words of JSON Schema."""


@accepts(**{"not": BOTH_LIFETIMES})
class LifetimeSchema(RequestSchema):
    """When a key expires, in one of two ways."""

    expires_at = Moment(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "When the key expires: ISO 8601 with a time zone, in the next ten years. Without it, "
            "it does not."
        },
    )
    expires_in_seconds = WholeNumber(
        1,
        int(LIFETIME_MOST_S),
        load_default=None,
        allow_none=True,
        metadata={"description": "The same as a time from now; only one of the two may be given."},
    )

    @validates_schema
    def _one_lifetime(self, data: dict[str, Any], **_options: object) -> None:
        if data["expires_at"] is None:
            return
        if data["expires_in_seconds"] is not None:
            raise ValidationError({"expires_in_seconds": ["excludes expires_at: leave one of them out"]})
        if not 0 < data["expires_at"].timestamp() - clock.wall_clock() <= LIFETIME_MOST_S:
            raise ValidationError({"expires_at": ["is not in the next ten years: write a time that is"]})


@accepts(**{"not": BOTH_LIFETIMES, "anyOf": TENANT_FITS})
class NewKeySchema(LifetimeSchema):
    """What a new key is to be."""

    name = Text(
        least=1,
        most=NAME_MOST,
        required=True,
        validate=validators.name,
        metadata={
            "description": "Who uses the key, for people; the audit log shows it.",
            "example": "acme, production",
        },
    )
    role = Choice(
        [role.value for role in Role],
        required=True,
        metadata={
            "description": "`admin`: everything, for all tenants. `client`: the subscriptions of its tenant. `viewer`: "
            "reads those."
        },
    )
    tenant = Text(
        expected="the name of a tenant",
        most=TENANT_MOST,
        load_default=None,
        allow_none=True,
        validate=tenant,
        metadata={"description": "Whose subscriptions; required for `client` and `viewer`, null for `admin`."},
    )

    @validates_schema
    def _tenant_fits(self, data: dict[str, Any], **_options: object) -> None:
        operator = data["role"] == Role.ADMIN.value
        if operator and data["tenant"] is not None:
            raise ValidationError({"tenant": ["is given, and an admin has none: leave it out"]})
        if not operator and data["tenant"] is None:
            raise ValidationError({"tenant": [f"is missing: a {data['role']} needs the name of a tenant"]})


class RotationSchema(LifetimeSchema):
    """How a key is replaced. Without a lifetime the new key lives as long as the old one was to live."""

    overlap_seconds = WholeNumber(
        0,
        int(OVERLAP_MOST_S),
        load_default=int(OVERLAP_S),
        metadata={"description": "How long the old key stays valid, so that its owner can change to the new one."},
    )


class KeyPageSchema(RequestSchema):
    """Which keys to list."""

    after = Text(
        expected="the id of a key",
        load_default="",
        validate=public_part,
        metadata={"description": "The last id of the previous page; leave it out for the first."},
    )
    limit = QueryNumber(1, PAGE_MAX, load_default=PAGE, metadata={"description": "How many keys a page holds at most."})
    tenant = Text(
        most=TENANT_MOST,
        load_default=None,
        validate=tenant,
        metadata={"description": "Only the keys of this tenant."},
    )


class KeySchema(Schema):
    """An API key, without its secret part. Times are ISO 8601, UTC."""

    id = fields.String(metadata={"description": "The public part of the key."})
    kind = fields.String(metadata={"enum": ["Key"], "description": "The kind of this document."})
    name = fields.String(metadata={"description": "Who uses it, for people."})
    role = fields.String(metadata={"enum": [role.value for role in Role], "description": "What it may do."})
    tenant = fields.String(allow_none=True, metadata={"description": "Whose subscriptions; null for an admin."})
    state = fields.String(
        metadata={"enum": [state.value for state in KeyState], "description": "Only an `active` key is accepted."}
    )
    created_at = fields.String(metadata={"description": "When it was made."})
    expires_at = fields.String(allow_none=True, metadata={"description": "When it expires; null for never."})
    revoked_at = fields.String(allow_none=True, metadata={"description": "When it was revoked; null if it was not."})
    last_used_at = fields.String(
        allow_none=True, metadata={"description": "When it was last used, to the minute; null if it never was."}
    )
    successor_id = fields.String(
        allow_none=True, metadata={"description": "The key that replaces it since a rotation; else null."}
    )


class CreatedKeySchema(KeySchema):
    """A new API key, with the key itself: this answer is the only place where it is ever shown."""

    key = fields.String(
        metadata={
            "description": "The key, for the header `Authorization: Bearer …`. It is stored nowhere, so the answer to "
            "a repetition with the same `Idempotency-Key` does not have it.",
            "example": "whd_3f9a04c1d2e85b7766aa_" + 64 * "0",
            CONDITIONAL: True,
        }
    )


def expiry(data: dict[str, Any], now: float) -> float | None:
    """When the key of a validated document expires, in seconds since the epoch; None when it says nothing."""
    at: datetime | None = data["expires_at"]
    if at is not None:
        return at.timestamp()
    return None if data["expires_in_seconds"] is None else now + float(data["expires_in_seconds"])
