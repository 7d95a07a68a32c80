"""Generated responses, split at random. `make fuzz-responses` generates them for SECONDS."""

import time

import pytest

from tests.harness.response_reading import check_generated

EXAMPLES, PER_ROUND = 150, 3_000


def test_generated_responses_are_read_alike(pytestconfig: pytest.Config) -> None:
    seconds: int = pytestconfig.getoption("--fuzz")
    first: int = pytestconfig.getoption("--seed")
    if not seconds:
        check_generated(EXAMPLES, first)
        return
    ends_at, examples = time.monotonic() + seconds, 0
    while time.monotonic() < ends_at:
        check_generated(PER_ROUND, first + examples)
        examples += PER_ROUND
    print(f"{examples} responses, seed {first}")  # noqa: T201  # for whoever ran `make fuzz-responses`
