"""How long unknown keys of an address wait. The clock is the test's."""

import pytest

from api.extensions.used_up_addresses import UsedUpAddresses


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self) -> float:
        """The time."""
        return self.now


@pytest.fixture
def time() -> Clock:
    """The clock."""
    return Clock()


@pytest.fixture
def used_up(time: Clock) -> UsedUpAddresses:
    return UsedUpAddresses(time, most=2)


def test_unknown_keys_wait_until_the_address_may_ask_again(used_up: UsedUpAddresses, time: Clock) -> None:
    assert used_up.wait_s("192.0.2.1", "key") == 0.0
    used_up.use_up("192.0.2.1", 5.0)
    time.now += 2.0
    assert [used_up.wait_s(address, "key") for address in ("192.0.2.1", "192.0.2.2")] == [3.0, 0.0]
    time.now += 3.0
    assert used_up.wait_s("192.0.2.1", "key") == 0.0


def test_keys_that_were_valid_do_not_wait(used_up: UsedUpAddresses) -> None:
    used_up.use_up("192.0.2.1", 5.0)
    used_up.accept("valid")
    assert [used_up.wait_s("192.0.2.1", key) for key in ("valid", "other")] == [0.0, 5.0]


def test_the_oldest_are_forgotten(used_up: UsedUpAddresses) -> None:
    for address in ("a", "b", "a", "c"):
        used_up.use_up(address, 5.0)
    assert [used_up.wait_s(address, "key") for address in ("a", "b", "c")] == [5.0, 0.0, 5.0]
    for key in ("1", "2", "1", "3"):
        used_up.accept(key)
    assert [used_up.wait_s("a", key) for key in ("1", "2", "3")] == [0.0, 5.0, 0.0]
