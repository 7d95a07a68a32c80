"""The shared clock between two reads of it, and while it cannot be read. The test moves the time."""

from webhookd.errors import QueueUnavailable
from workers.coordination_clock import READ_INTERVAL_S, CoordinationClock


class Store:
    """A clock far ahead of the process' own. It can be unavailable; a read takes `takes_s`, half of it each way."""

    def __init__(self) -> None:
        self.mono = 50.0
        self.ahead_s = 1_700_000_000.0
        self.takes_s = 0.0
        self.unavailable = False
        self.reads = 0

    def time(self) -> float:
        self.reads += 1
        if self.unavailable:
            raise QueueUnavailable("down")
        self.mono += self.takes_s / 2
        read = self.mono + self.ahead_s
        self.mono += self.takes_s / 2
        return read

    def monotonic(self) -> float:
        return self.mono


def test_clock_is_read_every_ten_seconds_and_counted_on_between() -> None:
    store = Store()
    clock = CoordinationClock(store.time, store.monotonic)
    times = []
    for _ in range(3):
        times.append(clock.now())
        store.mono += READ_INTERVAL_S / 2
    assert times == [1_700_000_050.0, 1_700_000_055.0, 1_700_000_060.0]
    assert store.reads == 2


def test_half_the_round_trip_is_added() -> None:
    store = Store()
    store.takes_s = 2.0
    assert CoordinationClock(store.time, store.monotonic).now() == store.mono + store.ahead_s


def test_clock_is_unknown_before_the_first_read() -> None:
    store = Store()
    store.unavailable = True
    clock = CoordinationClock(store.time, store.monotonic)
    assert (clock.now(), clock.now(), store.reads) == (None, None, 1)
    store.unavailable = False
    store.mono += READ_INTERVAL_S
    assert clock.now() == store.mono + store.ahead_s


def test_clock_goes_on_while_the_store_is_down() -> None:
    store = Store()
    clock = CoordinationClock(store.time, store.monotonic)
    clock.now()
    store.unavailable = True
    store.mono += 3 * READ_INTERVAL_S
    assert clock.now() == store.mono + store.ahead_s


def test_changed_clock_is_noticed_at_the_next_read() -> None:
    store = Store()
    clock = CoordinationClock(store.time, store.monotonic)
    clock.now()
    store.ahead_s += 600.0
    store.mono += READ_INTERVAL_S
    assert clock.now() == store.mono + store.ahead_s
