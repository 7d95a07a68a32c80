"""Content that was stored under earlier policies is hidden from the tenant."""

import pytest

from tests.harness.policies import policy
from webhookd.flow.policy.policy import Policy, PolicySet
from webhookd.flow.policy.stored_content import PastPolicy, StoredContent

MARGIN_S = 300.0
CHANGED = 1000.0
ALLOWED = policy()
NOTHING: tuple[Policy, ...] = ()
EVERYBODY = frozenset({None})
CHANGE = PastPolicy(tenants=EVERYBODY, patterns=frozenset({"order*"}), changed_at=CHANGED)
OLDER_CHANGE = PastPolicy(tenants=frozenset({"acme", "beta"}), patterns=frozenset({"orders"}), changed_at=CHANGED - 500)
OTHER_TOPIC = PastPolicy(tenants=EVERYBODY, patterns=frozenset({"payments"}), changed_at=CHANGED + 500)
OTHER_TENANT = PastPolicy(tenants=frozenset({"beta"}), patterns=frozenset({"orders"}), changed_at=CHANGED + 500)


@pytest.mark.parametrize(
    ("policies", "history", "is_open", "stored_at", "shown"),
    [
        # There never was a policy.
        (NOTHING, [], True, 1.0, True),
        (NOTHING, [], False, 1.0, False),
        # It was stored before the change, within the margin, after it.
        ((ALLOWED,), [CHANGE], False, CHANGED - 1, False),
        ((ALLOWED,), [CHANGE], False, CHANGED + MARGIN_S - 1, False),
        ((ALLOWED,), [CHANGE], False, CHANGED + MARGIN_S, True),
        # The last change counts, and only those of the topic.
        ((ALLOWED,), [OLDER_CHANGE, CHANGE], False, CHANGED + MARGIN_S - 1, False),
        ((ALLOWED,), [CHANGE, OTHER_TOPIC], False, CHANGED + MARGIN_S, True),
        ((ALLOWED,), [CHANGE, OTHER_TENANT], False, CHANGED + MARGIN_S, True),
        # The policy was deleted: the topic is open or closed again, and what was stored before stays hidden.
        (NOTHING, [CHANGE], True, CHANGED - 1, False),
        (NOTHING, [CHANGE], True, CHANGED + MARGIN_S, True),
        (NOTHING, [CHANGE], False, CHANGED + MARGIN_S, False),
        # It is for another tenant.
        ((policy(tenant="beta"),), [CHANGE], True, CHANGED + MARGIN_S, False),
    ],
)
def test_content_is_shown_if_it_was_stored_under_the_present_policies(
    policies: tuple[Policy, ...],
    history: list[PastPolicy],
    is_open: bool,  # a column of the table
    stored_at: float,
    shown: bool,
) -> None:
    content = StoredContent(
        "acme", PolicySet(policies=policies), history, open_without_policy=is_open, margin_s=MARGIN_S
    )
    assert content.shows("orders", stored_at) is shown
