"""The rate that an endpoint has granted counts beside the limits of the subscription and of its host."""

import pytest

from webhookd.flow.destination import RateLimit, RequestLimits
from webhookd.flow.dispatch.request_quota import HeldBy, Quota, quotas_of

HOST = Quota(subject="host:example.com", rate=RateLimit(per_second=5.0, burst=5))
OWN = RateLimit(per_second=2.0, burst=2)


def test_it_is_a_quota_of_its_own() -> None:
    own, granted, host = quotas_of("s1", RequestLimits(rate_limit=OWN), HOST, 90)
    assert (own.subject, host) == ("s1", HOST)
    assert (granted.subject, granted.rate) == ("s1:granted", RateLimit(per_second=1.5, burst=1))
    assert [one.rate_held_by for one in (own, granted, host)] == [
        HeldBy.RATE_LIMIT,
        HeldBy.GRANTED_RATE,
        HeldBy.HOST_LIMIT,
    ]


@pytest.mark.parametrize(("per_minute", "burst"), [(1, 1), (59, 1), (60, 1), (600, 10)])
def test_what_is_granted_for_a_second_may_leave_at_once(per_minute: int, burst: int) -> None:
    (granted,) = quotas_of("s1", RequestLimits(), None, per_minute)
    assert granted.rate == RateLimit(per_second=per_minute / 60, burst=burst)


def test_no_granted_rate_is_no_quota() -> None:
    assert quotas_of("s1", RequestLimits()) == ()
