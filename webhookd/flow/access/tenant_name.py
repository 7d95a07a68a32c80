"""The names that a tenant can have."""

import re
from typing import Final

from webhookd.errors import InvalidInput

PATTERN: Final = "[a-z0-9][a-z0-9_-]{0,63}"

FORM: Final = "1 to 64 of a-z, 0-9, hyphen and underscore, beginning with a letter or a digit"


def is_tenant_name(name: str) -> bool:
    """Whether a tenant can have this name."""
    return re.fullmatch(PATTERN, name) is not None


def check_tenant_name(name: str) -> None:
    """Raise InvalidInput unless a tenant can have this name."""
    if not is_tenant_name(name):
        raise InvalidInput(f"is not the name of a tenant: write {FORM}", field="tenant")
