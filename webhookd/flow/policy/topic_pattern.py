"""Patterns of topic names, in which `*` stands for any characters, also for none."""

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

COMPILED = 16_384
"""How many patterns are kept compiled; there may be 10,000 policies."""


def matches(pattern: str, topic: str) -> bool:
    """Whether the topic has a name of this pattern."""
    if "*" not in pattern:  # ten times as fast, where there may be a thousand policies
        return topic == pattern
    return _compiled(pattern).fullmatch(topic) is not None


class TopicPatterns:
    """Which of many patterns match a topic; a pattern is named by its place in the sequence.

    Names are looked up. Of the patterns with `*`, only those are evaluated whose text before the first `*` begins the
    topic's name, and whose text after the last one ends it.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names: defaultdict[str, list[int]] = defaultdict(list)
        self._patterns: list[tuple[str, str, int, str]] = []
        for place, pattern in enumerate(patterns):
            if "*" in pattern:
                self._patterns.append((pattern.partition("*")[0], pattern.rpartition("*")[2], place, pattern))
            else:
                self._names[pattern].append(place)

    def matching(self, topic: str) -> list[int]:
        """The places of the patterns that match, in their order."""
        begins, ends = topic.startswith, topic.endswith
        found = [
            place
            for first, last, place, pattern in self._patterns
            if ends(last) and begins(first) and matches(pattern, topic)
        ]
        return sorted(found + self._names.get(topic, []))


@lru_cache(COMPILED)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
