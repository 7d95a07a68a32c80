"""The settings of policies; webhookd/settings.py has the others and says how they are read."""

from typing import Literal

from pydantic import Field

from webhookd.configuration.subject import Subject

TopicsWithoutPolicy = Literal["auto", "open", "closed"]


class PolicySettings(Subject):
    """Policies."""

    topics_without_policy: TopicsWithoutPolicy = Field(
        default="auto",
        description="Whether tenants may read topics for which there is no policy: `open` or `closed`. `auto`: "
        "`closed` with `WEBHOOKD_API_AUTH=keys`, else `open`. All API and ingest processes need the same value.",
    )
    policy_limit: int = Field(default=1000, ge=1, le=10_000, description="How many policies there may be.")
    policy_max_age_s: float = Field(
        default=300.0,
        ge=1,
        le=86_400,
        description="An ingest process that cannot read the database goes on under the policies that it knows for this "
        "long. Then it stops the subscriptions that are under a policy until it can read them again.",
    )
