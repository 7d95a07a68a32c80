"""The ledger: the table of its docstring row by row, and a random walk beside a naive model."""

import random

import pytest

from webhookd.flow.offsets.ledger import UNREAD, Ledger
from webhookd.flow.offsets.position import Partition, next_offset


def ledger(*, seen: int, accepted: tuple[int, ...] = (), aside: tuple[int, ...] = ()) -> Ledger:
    made = Ledger()
    for offset in accepted:
        made.accept(offset)
    for offset in aside:
        made.add_dead_letter(offset)
    made.read(seen - 1)
    return made


def test_unread_ledger_has_nothing_to_commit() -> None:
    assert (Ledger().watermark, Ledger().position) == (UNREAD, UNREAD)


def test_read_alone_moves_the_watermark() -> None:
    assert ledger(seen=8).watermark == 8


def test_accepted_record_holds_the_watermark() -> None:
    assert ledger(seen=8, accepted=(5, 7)).watermark == 5


def test_record_set_aside_holds_the_watermark() -> None:
    assert ledger(seen=8, accepted=(7,), aside=(6,)).watermark == 6


def test_settling_moves_to_the_next_open() -> None:
    made = ledger(seen=10, accepted=(5, 7, 9))
    made.settle(2)
    assert (made.watermark, made.open_count) == (9, 1)


def test_settling_all_moves_to_seen() -> None:
    made = ledger(seen=10, accepted=(5, 7))
    made.settle(2)
    assert made.watermark == 10


def test_settling_more_than_open_raises() -> None:
    with pytest.raises(IndexError):
        ledger(seen=10, accepted=(5,)).settle(2)


def test_asides_settle_in_any_order() -> None:
    made = ledger(seen=10, aside=(3, 5))
    made.settle_dead_letter(5)
    assert (made.watermark, made.dead_letter_count) == (3, 1)
    made.settle_dead_letter(3)
    assert made.watermark == 10


def test_settling_an_unknown_aside_is_ignored() -> None:
    made = ledger(seen=10, aside=(3,))
    made.settle_dead_letter(4)
    assert made.watermark == 3


def test_rewind_forgets_what_is_above_the_watermark() -> None:
    made = ledger(seen=10, accepted=(5, 7), aside=(6,))
    assert made.rewind() == 5
    assert (made.position, made.open_count, made.dead_letter_count, made.watermark) == (5, 0, 0, 5)


def test_rewinding_the_unread_stays_unread() -> None:
    assert Ledger().rewind() == UNREAD


def test_watermark_never_moves_backwards() -> None:
    made = ledger(seen=10)
    assert made.watermark == 10
    made.accept(4)
    assert made.watermark == 10


def test_gaps_in_offsets_are_no_gaps() -> None:
    made = ledger(seen=1001, accepted=(5, 1000))
    made.settle(1)
    assert made.watermark == 1000


def test_next_offset_is_one_further() -> None:
    assert next_offset(41) == 42


def test_partition_reads_as_operators_write_it() -> None:
    assert str(Partition("orders", 7)) == "orders/7"


class Model:
    """The naive way: every offset ever read with its fate, and the watermark counted from scratch."""

    def __init__(self) -> None:
        self.unsettled: list[int] = []
        self.aside: set[int] = set()
        self.seen = UNREAD

    @property
    def lowest(self) -> int:
        return min([*self.unsettled, *self.aside, self.seen])


def _step(chance: random.Random, made: Ledger, model: Model) -> None:
    match chance.choice(("read", "read", "settle", "settle_aside", "rewind")):
        case "read":
            offset = max(model.seen, 0) + chance.choice((0, 0, 0, 1, 40))
            fate = chance.choice(("accept", "aside", "drop"))
            if fate == "accept":
                made.accept(offset)
                model.unsettled.append(offset)
            elif fate == "aside":
                made.add_dead_letter(offset)
                model.aside.add(offset)
            made.read(offset)
            model.seen = offset + 1
        case "settle":
            count = chance.randint(0, len(model.unsettled))
            made.settle(count)
            del model.unsettled[:count]
        case "settle_aside" if model.aside:
            offset = chance.choice(sorted(model.aside))
            made.settle_dead_letter(offset)
            model.aside.discard(offset)
        case "rewind" if chance.random() < 0.2:
            model.seen = model.lowest
            model.unsettled.clear()
            model.aside.clear()
            made.rewind()
        case _:
            pass


@pytest.mark.parametrize("seed", range(30))
def test_random_walk_agrees_with_the_model(seed: int) -> None:
    chance, made, model, before = random.Random(seed), Ledger(), Model(), UNREAD  # noqa: S311  # seeded on purpose
    for _ in range(300):
        _step(chance, made, model)
        assert made.watermark == model.lowest
        assert made.watermark >= before
        assert made.position == model.seen
        before = made.watermark
