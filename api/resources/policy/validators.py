"""Marshmallow validators of the fields of a policy; what needs the whole policy is in wire.py."""

import re

from marshmallow import ValidationError

from api.description import patterns
from api.description.keywords import accepts
from webhookd.flow.access.tenant_name import FORM, is_tenant_name

TOPIC_PATTERN = r"[a-zA-Z0-9._*-]{1,249}"
PLAIN = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"

_PATTERN = re.compile(TOPIC_PATTERN)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@accepts(pattern=f"^{TOPIC_PATTERN}$")
def topic_pattern(value: str) -> None:
    """Raise ValidationError unless it is a topic's name, or one in which `*` stands for any characters."""
    if not _PATTERN.fullmatch(value):
        raise ValidationError(
            "is not a topic's name or pattern: 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen, and * for any "
            "characters"
        )


@accepts(pattern=patterns.TENANT)
def tenant(value: str) -> None:
    """Raise ValidationError unless it can be a tenant's name."""
    if not is_tenant_name(value):
        raise ValidationError(f"is not the name of a tenant: write {FORM}")


@accepts(pattern=PLAIN)
def description(value: str) -> None:
    """Raise ValidationError for control characters, which a database or a terminal does not take."""
    if _CONTROL.search(value):
        raise ValidationError("has control characters")
