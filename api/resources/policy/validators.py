"""Marshmallow validators of the fields of a policy; what needs the whole policy is in wire.py."""

import re

from marshmallow import ValidationError

_PATTERN = re.compile(r"[a-zA-Z0-9._*-]{1,249}")
_TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def topic_pattern(value: str) -> None:
    """Raise ValidationError unless it is a topic's name, or one in which `*` stands for any characters."""
    if not _PATTERN.fullmatch(value):
        raise ValidationError(
            "is not a topic's name or pattern: 1 to 249 of a-z, A-Z, 0-9, dot, underscore and hyphen, and * for any "
            "characters"
        )


def tenant(value: str) -> None:
    """Raise ValidationError unless it can be a tenant's name."""
    if not _TENANT.fullmatch(value):
        raise ValidationError(
            "is not a tenant: 1 to 64 of a-z, 0-9, underscore and hyphen, the first one a letter or a digit"
        )


def description(value: str) -> None:
    """Raise ValidationError for control characters, which a database or a terminal does not take."""
    if _CONTROL.search(value):
        raise ValidationError("has control characters")
