"""Which process runs a subscription: the same for every caller, and a change moves as little as possible."""

from collections import Counter

from webhookd.flow.control.rendezvous import owner

MEMBERS = ["a", "b", "c", "d"]
SUBSCRIPTIONS = [f"subscription-{number}" for number in range(2000)]


def test_no_members_give_no_owner() -> None:
    assert owner("s", []) is None


def test_order_of_members_does_not_matter() -> None:
    assert all(owner(s, MEMBERS) == owner(s, MEMBERS[::-1]) for s in SUBSCRIPTIONS)


def test_shares_are_about_even() -> None:
    shares = Counter(owner(s, MEMBERS) for s in SUBSCRIPTIONS)
    assert all(400 < shares[member] < 600 for member in MEMBERS)


def test_leaving_moves_only_subscriptions_of_the_leaver() -> None:
    moved = [s for s in SUBSCRIPTIONS if owner(s, MEMBERS) != owner(s, MEMBERS[:3])]
    assert all(owner(s, MEMBERS) == "d" for s in moved)


def test_joining_moves_subscriptions_only_to_the_joiner() -> None:
    after = {s: owner(s, [*MEMBERS, "e"]) for s in SUBSCRIPTIONS}
    assert {after[s] for s in SUBSCRIPTIONS if after[s] != owner(s, MEMBERS)} == {"e"}
