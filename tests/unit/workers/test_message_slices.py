"""How many messages are processed between two readings of the clock."""

from confluent_kafka import Message

from workers.ingest.consumer.message_slices import BUDGET_S, FIRST_SLICE_SIZE, LARGEST_SLICE_SIZE, MessageSlices


class Clock:
    """Each reading is `step_s` later than the one before."""

    def __init__(self, step_s: float) -> None:
        self.now = 0.0
        self.step_s = step_s

    def __call__(self) -> float:
        self.now += self.step_s
        return self.now


def sizes(slices: MessageSlices, count: int) -> list[int]:
    taken: list[int] = []
    slices.process(
        [Message(topic="orders", partition=0, offset=n) for n in range(count)], lambda part: taken.append(len(part))
    )
    return taken


def test_slices_double_while_they_take_little_time() -> None:
    assert sizes(MessageSlices(Clock(BUDGET_S / 10)), 1000) == [32, 64, 128, 256, 512, 8]


def test_slow_messages_make_slices_smaller_and_the_rest_waits() -> None:
    slices = MessageSlices(Clock(BUDGET_S))
    assert (sizes(slices, 100), len(slices.waiting)) == ([FIRST_SLICE_SIZE], 100 - FIRST_SLICE_SIZE)
    assert sizes(slices, 100) == [FIRST_SLICE_SIZE // 4]


def test_bound_is_kept_until_it_is_set_anew() -> None:
    slices = MessageSlices(Clock(0.0))
    slices.bound(20)
    slices.bound(500)
    assert sizes(slices, 60) == [20, 20, 20]
    slices.bound(0)
    assert sizes(slices, 2) == [1, 1]
    slices.bound(10 * LARGEST_SLICE_SIZE, anew=True)
    assert max(sizes(slices, 10_000)) == LARGEST_SLICE_SIZE
