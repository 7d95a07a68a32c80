"""What is said about sampled records tells nothing that a policy hides."""

from tests.harness.topic_policies import allow, exclude, governed
from webhookd.flow.authorization.sample import seen_values
from webhookd.flow.policy.policy import OPEN_TOPIC

VALUES = [b'{"a":1,"b":2}', b'{"b":3}', b"{", None, b'["b"]']


def test_a_sample_of_an_open_topic_is_whole() -> None:
    assert seen_values(OPEN_TOPIC, VALUES) == VALUES


def test_a_sample_has_only_what_is_seen() -> None:
    assert seen_values(governed(allow("", exclude("b"))), VALUES) == [b'{"a":1}', b"{}", None]
    assert seen_values(governed(allow("a", exclude("b"))), VALUES) == [b'{"a":1}']


def test_a_sample_shows_nothing_where_policies_read_what_it_does_not_have() -> None:
    assert seen_values(governed(allow("\"@key\" == 'k'"), allow("", priority=200)), VALUES) == []
    assert seen_values(governed(), VALUES) == []
