"""Whose turn it is when many endpoints are to be asked for their consent."""

from webhookd.flow.dispatch.question_turns import ASKED_AT_ONCE, OPEN_AT_ONCE, DueQuestion, next_questions


def due(tenant: str, number: int) -> list[DueQuestion]:
    """So many questions of a tenant; the last one has been due the longest."""
    return [DueQuestion(subscription=f"{tenant}-{n}", tenant=tenant, due_at=-float(n)) for n in range(number)]


def test_few_are_asked_at_once_and_the_oldest_first() -> None:
    asked = next_questions(due("acme", 50), [])
    assert asked == [f"acme-{n}" for n in range(49, 49 - ASKED_AT_ONCE, -1)]


def test_tenants_take_turns() -> None:
    asked = next_questions([*due("acme", 50), *due("shop", 2)], [])
    assert asked[:5] == ["acme-49", "shop-1", "acme-48", "shop-0", "acme-47"]


def test_tenant_with_fewer_open_questions_is_first() -> None:
    assert next_questions([*due("acme", 1), *due("shop", 1)], ["acme"]) == ["shop-0", "acme-0"]


def test_no_more_are_open_than_may_be() -> None:
    assert next_questions(due("acme", 5), ["acme"] * (OPEN_AT_ONCE - 2)) == ["acme-4", "acme-3"]
    assert next_questions(due("acme", 5), ["acme"] * (OPEN_AT_ONCE + 1)) == []


def test_endpoints_that_hang_hold_up_no_other_tenant() -> None:
    assert next_questions([*due("acme", 5), *due("shop", 5)], ["acme"] * OPEN_AT_ONCE) == ["shop-4"]
