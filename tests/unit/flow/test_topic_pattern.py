"""Patterns of topic names: `*` stands for any characters, and nothing else is special."""

import pytest

from webhookd.flow.policy.topic_pattern import TopicPatterns, matches


@pytest.mark.parametrize(
    ("pattern", "topic", "matched"),
    [
        ("orders", "orders", True),
        ("orders", "orders2", False),
        ("*", "orders", True),
        ("order*", "order", True),
        ("*.dead", "orders.dead", True),
        ("*.dead", "ordersxdead", False),
        ("a*b*c", "a1b2c", True),
        ("a*b*c", "acb", False),
        ("shop.*", "shop.orders.eu", True),
        ("shop.*", "shopping", False),
        ("o?ders*", "orders", False),
        ("[o]rders*", "orders", False),
        ("", "orders", False),
    ],
)
def test_only_the_asterisk_is_special(pattern: str, topic: str, matched: bool) -> None:
    assert matches(pattern, topic) is matched


@pytest.mark.parametrize(
    "topic", ["orders", "orders.eu", "orders.eu.1", "a", "aa", "aba", "ab", "", "a\nb", "x.orders"]
)
def test_search_among_many_patterns_finds_what_matches_alone(topic: str) -> None:
    patterns = [
        "orders",
        "*",
        "orders*",
        "*orders",
        "orders.*.1",
        "a*a",
        "a*b*a",
        "a*",
        "orders",
        "",
        "a*b",
        "**",
        "*.*",
    ]
    alone = [place for place, pattern in enumerate(patterns) if matches(pattern, topic)]
    assert TopicPatterns(patterns).matching(topic) == alone
