"""What `webhookd run` says about its options without asking anything."""

from collections.abc import Mapping
from typing import Any

import pytest

from command.run_subscription import RunOptions, check, nearest_topic
from webhookd.errors import InvalidInput

OPTIONS: Mapping[str, Any] = {
    "topics": ["orders"],
    "url": "https://192.0.2.1/",
    "filters": [],
    "on_filter_error": "dead_letter",
    "batch_size": 1,
    "batch_interval": 1,
    "headers": [],
    "start": None,
}


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("topics", ["a b"], "--topic"),
        ("url", "ftp://host/", "--url"),
        ("filters", ["a =="], "--filter"),
        ("headers", ["no colon"], "--header"),
    ],
)
def test_invalid_option_is_named(name: str, value: object, option: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        check(RunOptions.of({**OPTIONS, name: value}))
    assert raised.value.field == option


def test_valid_options_are_accepted() -> None:
    check(RunOptions.of(OPTIONS))


@pytest.mark.parametrize(("topic", "near"), [("ordrs", "orders"), ("Payments", ""), ("__orders", "orders")])
def test_nearest_topic(topic: str, near: str) -> None:
    assert nearest_topic(topic, {"orders", "invoices", "__orders_internal"}) == near
