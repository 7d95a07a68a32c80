"""Groups of settings of the API; webhookd/settings.py puts them together with the others."""

from typing import Literal

from pydantic import Field, SecretStr

from webhookd.configuration.subject import Subject
from webhookd.configuration.value_types import Network, Origin

ApiAuth = Literal["keys", "none"]


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


class AccessSettings(Subject):
    """Access to the API."""

    api_auth: ApiAuth = Field(
        default="keys",
        description="`keys`: every request needs an API key; `webhookd keys create --role admin` makes the first one. "
        "`none`, for trying things out: everybody is an admin, the API may listen on loopback only, and it refuses "
        "requests whose `Host` is not a loopback name or address.",
    )
    api_key: SecretStr = Field(
        default=SecretStr(""),
        description="The API key that webhookd's own commands send when they use the API. The API itself does not read "
        "it.",
    )


class ApiRequestSettings(Subject):
    """Requests to the API."""

    api_arrival_timeout_s: float = Field(
        default=20.0,
        ge=0.5,
        le=300,
        description="How long a request to the API may take to arrive, from its first byte to its last. A slower one "
        "is answered with 408. A request that arrives slowly takes no thread.",
    )
    api_cors_origins: tuple[Origin, ...] = Field(
        default=(),
        description="Origins whose scripts may call the API from a browser (CORS), such as `https://app.example.com`. "
        "Without one, browsers keep the API's answers from scripts of other origins. `*` is refused.",
    )


class TenantSettings(Subject):
    """Limits of each tenant."""

    tenant_subscriptions: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="How many subscriptions a tenant may have. A POST beyond it is refused with 409, `limit_reached`.",
    )
    tenant_topics_per_subscription: int = Field(
        default=20,
        ge=1,
        le=20,
        description="How many topics one subscription may read. A POST, PUT or PATCH that adds a topic beyond it is "
        "refused with 422.",
    )
    tenant_dead_letter_topics: str = Field(
        default="",
        description="Which topics the clients of a tenant may name as `dead_letter_topic`: a pattern with `{tenant}` "
        "and `*`, such as `dead-letters.{tenant}.*`. Empty: none, only operators name them. webhookd writes to the "
        "topic with its own rights.",
    )
    tenant_dead_letters: int = Field(
        default=1_000_000,
        ge=1,
        le=3_000_000,
        description="How many dead letters of all subscriptions of a tenant are stored together. At the limit the "
        "lanes of these subscriptions stop before the next record that would become one, as with "
        "`WEBHOOKD_DEAD_LETTER_LIMIT`. Ingest processes count about every 5 s: several of them may exceed the limit by "
        "what they write in this time.",
    )
