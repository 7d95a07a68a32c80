"""Who makes a request: a role, and the tenant whose rows it may see.

role      may
admin     everything, for all tenants: the operators
client    read and change the subscriptions of its tenant
viewer    read the subscriptions of its tenant
"""

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_TENANT = "default"
"""The tenant of subscriptions for which an operator names none, and of all that are older than tenants."""


class Role(StrEnum):
    """What a caller may do; see the table above."""

    ADMIN = "admin"
    CLIENT = "client"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a transaction may see: those of one tenant, or of all tenants (None)."""

    tenant: str | None


ALL_TENANTS = Scope(None)
"""For the processes of the service, and for operators."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The origin of a request or a command, as the audit log names it.

    `tenant` is None for an operator. `key_id` is the public part of the API key, "" without one. `address` is the
    client's IP address, "" for a command.
    """

    role: Role
    tenant: str | None = None
    key_id: str = ""
    name: str = ""
    address: str = ""

    @property
    def scope(self) -> Scope:
        """The rows that it may see."""
        return ALL_TENANTS if self.role is Role.ADMIN else Scope(self.tenant or "")


SERVICE = Caller(role=Role.ADMIN, name="webhookd")
"""webhookd itself, where the audit log names the origin of a change."""
