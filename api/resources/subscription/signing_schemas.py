"""The wire format of a destination's signing, and of a rotation of its secret."""

from typing import Any, Final

from marshmallow import ValidationError, fields, validates_schema

from api.description.keywords import accepts
from api.description.objects import CONDITIONAL, NEVER_NULL
from api.extensions.request_fields import Choice, Text, WholeNumber
from api.extensions.request_schema import RequestSchema
from api.resources.subscription import validators
from webhookd.flow.attempt.header import MASK, is_masked
from webhookd.flow.attempt.signature import (
    OVERLAP_MOST_S,
    OVERLAP_S,
    PREFIXES,
    PUBLIC_PREFIX,
    SECRETS_MOST,
    SigningKind,
    kind_of_secret,
)

EXPECTED: Final = "a signing secret, such as whsec_ and the base64 of 32 random bytes"
KINDS: Final = {
    SigningKind.HMAC_SHA256: "a signature `v1,…` by HMAC-SHA256 with a secret that both sides know",
    SigningKind.ED25519: "a signature `v1a,…` by Ed25519, which receivers verify with a public key",
}


def _fitting(kind: SigningKind, *, required: bool, masked: str = "") -> dict[str, Any]:
    """The objects whose secret is of this kind, in the words of JSON Schema."""
    said = {"properties": {"kind": {"const": kind.value}, "secret": {"pattern": f"^(?:{PREFIXES[kind]}{masked})"}}}
    return said | ({"required": ["kind"]} if required else {})


_MASKED: Final = r"|\*{4}$"
_UNSIGNED: Final = {
    "properties": {"kind": {"const": SigningKind.NONE.value}, "secret": {"enum": [MASK, None]}},
    "required": ["kind"],
}
FITS: Final = [
    _fitting(SigningKind.HMAC_SHA256, required=False, masked=_MASKED),
    _fitting(SigningKind.ED25519, required=True, masked=_MASKED),
    _UNSIGNED,
]
NEW_FITS: Final = [_fitting(kind, required=False) for kind in KINDS]


@accepts(anyOf=FITS)
class SigningSchema(RequestSchema):
    """How requests are signed, as Standard Webhooks defines it.

    A PUT without it keeps what is stored, and so does a PATCH in which it is null.
    """

    kind = Choice(
        [kind.value for kind in SigningKind],
        load_default=SigningKind.HMAC_SHA256.value,
        metadata={
            "description": "".join(f"`{kind}`: {meaning}. " for kind, meaning in KINDS.items())
            + "`none`: requests are not signed. A new subscription without `signing` gets `hmac_sha256`."
        },
    )
    secret = Text(
        expected=EXPECTED,
        load_default=None,
        validate=validators.signing_secret,
        metadata={
            "description": "The base64 of 24 to 64 bytes after `whsec_`, or for `ed25519` of the 32 bytes of the "
            "private key's seed after `whsk_`. Without it a stored secret of this kind stays, and otherwise one is "
            "made. Responses show `****`, which may be sent back and keeps the stored one; `SigningSecret` shows it. "
            "Another secret replaces the stored one at once; a rotation lets both sign for a time.",
            NEVER_NULL: True,
            CONDITIONAL: True,
        },
    )
    public_key = fields.String(
        dump_only=True,
        metadata={
            "description": f"Only with `ed25519`: the public key, `{PUBLIC_PREFIX}` and the base64 of its 32 bytes.",
            CONDITIONAL: True,
        },
    )

    @validates_schema
    def _kind_fits(self, data: dict[str, Any], **_options: object) -> None:
        secret, kind = data["secret"], SigningKind(data["kind"])
        if secret is None or is_masked(secret):
            return
        if kind is SigningKind.NONE:
            raise ValidationError({"secret": ["is given, and kind is none: leave one of them out"]})
        _check_kind(kind, secret)


@accepts(anyOf=NEW_FITS)
class SigningRotationSchema(RequestSchema):
    """How a signing secret is replaced. Without fields: by a new one of the same kind, with a day of overlap."""

    overlap_seconds = WholeNumber(
        0,
        int(OVERLAP_MOST_S),
        load_default=int(OVERLAP_S),
        metadata={
            "description": "How long the current secret goes on to sign, so that receivers can change to the new one. "
            f"Earlier secrets keep their ends; at most {SECRETS_MOST} sign at the same time. With 0 the new one signs "
            "alone."
        },
    )
    kind = Choice(
        list(KINDS),
        load_default=None,
        metadata={"description": "The kind of the new secret; that of the current one if not given.", NEVER_NULL: True},
    )
    secret = Text(
        expected=EXPECTED,
        load_default=None,
        validate=validators.new_signing_secret,
        metadata={"description": "The new secret; without it webhookd makes one.", NEVER_NULL: True},
    )

    @validates_schema
    def _kind_fits(self, data: dict[str, Any], **_options: object) -> None:
        if data["secret"] is not None and data["kind"] is not None:
            _check_kind(SigningKind(data["kind"]), data["secret"])


class PreviousSecretSchema(RequestSchema):
    """A secret that was replaced and goes on to sign until its end."""

    kind = fields.String(metadata={"enum": list(KINDS), "description": "Its kind."})
    public_key = fields.String(metadata={"description": "Only with `ed25519`: the public key.", CONDITIONAL: True})
    expires_at = fields.String(metadata={"description": "Until when it signs.", "format": "date-time"})


class SigningSecretSchema(RequestSchema):
    """The secret that signs the requests of a subscription."""

    kind = fields.String(
        metadata={"enum": [kind.value for kind in SigningKind], "description": "How the requests are signed."}
    )
    secret = fields.String(
        metadata={
            "description": "The secret: `whsec_…`, or `whsk_…` for `ed25519`. Not with `none`, and not in the answer "
            "to a repetition with the same `Idempotency-Key`.",
            "example": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            CONDITIONAL: True,
        }
    )
    public_key = fields.String(
        metadata={"description": "Only with `ed25519`: the public key, `whpk_…`.", CONDITIONAL: True}
    )
    previous = fields.List(
        fields.Nested(PreviousSecretSchema),
        metadata={"description": "The secrets that were replaced and still sign, the newest first."},
    )


def _check_kind(kind: SigningKind, secret: str) -> None:
    found = kind_of_secret(secret)
    if found is not kind:
        raise ValidationError({"secret": [f"is a secret of {found}, and kind is {kind}: change one of them"]})
