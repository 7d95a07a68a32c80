"""Groups of settings of the API; webhookd/settings.py puts them together with the others."""

from pydantic import Field

from webhookd.configuration.subject import Subject
from webhookd.configuration.value_types import Network


class RateLimitSettings(Subject):
    """Rate limit of the API."""

    api_key_requests_per_minute: int = Field(
        default=600,
        ge=0,
        le=1_000_000,
        description="How many requests each API key may make in a minute, over all API processes. 0: any number.",
    )
    api_address_requests_per_minute: int = Field(
        default=60,
        ge=0,
        le=1_000_000,
        description="How many requests without a valid API key each client address may make in a minute; of IPv6 each "
        "/64. 0: any number.",
    )
    api_trusted_proxies: tuple[Network, ...] = Field(
        default=(),
        description="Networks (CIDR) of the proxies in front of the API. Only for a request from one of them the "
        "client's address is taken from `X-Forwarded-For`. For example `10.0.0.0/8`.",
    )
