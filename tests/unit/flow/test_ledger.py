"""The ledger: the table of its docstring row by row, and a random walk compared with a simple model."""

import random

import pytest

from webhookd.flow.offsets.ledger import Ledger
from webhookd.flow.offsets.position import UNREAD, Partition, next_offset


def ledger(*, position: int, accepted: tuple[int, ...] = (), dead_letters: tuple[int, ...] = ()) -> Ledger:
    made = Ledger()
    for offset in accepted:
        made.accept(offset)
    for offset in dead_letters:
        made.add_dead_letter(offset)
    made.read(position - 1)
    return made


def test_unread_ledger_has_nothing_to_commit() -> None:
    assert (Ledger().watermark, Ledger().position) == (UNREAD, UNREAD)


def test_read_alone_moves_the_watermark() -> None:
    assert ledger(position=8).watermark == 8


def test_accepted_record_holds_the_watermark() -> None:
    assert ledger(position=8, accepted=(5, 7)).watermark == 5


def test_dead_letter_holds_the_watermark() -> None:
    assert ledger(position=8, accepted=(7,), dead_letters=(6,)).watermark == 6


def test_settling_moves_to_the_next_open() -> None:
    made = ledger(position=10, accepted=(5, 7, 9))
    made.settle(2)
    assert (made.watermark, made.open_count) == (9, 1)


def test_settling_all_moves_to_the_position() -> None:
    made = ledger(position=10, accepted=(5, 7))
    made.settle(2)
    assert made.watermark == 10


def test_settling_more_than_open_raises() -> None:
    with pytest.raises(IndexError):
        ledger(position=10, accepted=(5,)).settle(2)


def test_dead_letters_settle_in_any_order() -> None:
    made = ledger(position=10, dead_letters=(3, 5))
    made.settle_dead_letter(5)
    assert (made.watermark, made.dead_letter_count) == (3, 1)
    made.settle_dead_letter(3)
    assert made.watermark == 10


def test_settling_an_unknown_dead_letter_is_ignored() -> None:
    made = ledger(position=10, dead_letters=(3,))
    made.settle_dead_letter(4)
    assert made.watermark == 3


def test_rewind_drops_what_is_above_the_watermark() -> None:
    made = ledger(position=10, accepted=(5, 7), dead_letters=(6,))
    assert made.rewind() == 5
    assert (made.position, made.open_count, made.dead_letter_count, made.watermark) == (5, 0, 0, 5)


def test_rewound_unread_ledger_stays_unread() -> None:
    assert Ledger().rewind() == UNREAD


def test_watermark_never_moves_backwards() -> None:
    made = ledger(position=10)
    assert made.watermark == 10
    made.accept(4)
    assert made.watermark == 10


def test_offsets_without_a_record_hold_nothing() -> None:
    made = ledger(position=1001, accepted=(5, 1000))
    made.settle(1)
    assert made.watermark == 1000


def test_next_offset_is_one_further() -> None:
    assert next_offset(41) == 42


def test_partition_is_written_as_topic_and_number() -> None:
    assert str(Partition("orders", 7)) == "orders/7"


class Model:
    """The simple way: all offsets that are not settled, and the watermark computed from them each time."""

    def __init__(self) -> None:
        self.unsettled: list[int] = []
        self.dead_letters: set[int] = set()
        self.position = UNREAD

    @property
    def lowest(self) -> int:
        return min([*self.unsettled, *self.dead_letters, self.position])


def _step(chance: random.Random, made: Ledger, model: Model) -> None:
    match chance.choice(("read", "read", "settle", "settle_dead_letter", "rewind")):
        case "read":
            offset = max(model.position, 0) + chance.choice((0, 0, 0, 1, 40))
            fate = chance.choice(("accept", "dead_letter", "drop"))
            if fate == "accept":
                made.accept(offset)
                model.unsettled.append(offset)
            elif fate == "dead_letter":
                made.add_dead_letter(offset)
                model.dead_letters.add(offset)
            made.read(offset)
            model.position = offset + 1
        case "settle":
            count = chance.randint(0, len(model.unsettled))
            made.settle(count)
            del model.unsettled[:count]
        case "settle_dead_letter" if model.dead_letters:
            offset = chance.choice(sorted(model.dead_letters))
            made.settle_dead_letter(offset)
            model.dead_letters.discard(offset)
        case "rewind" if chance.random() < 0.2:
            model.position = model.lowest
            model.unsettled.clear()
            model.dead_letters.clear()
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
        assert made.position == model.position
        before = made.watermark
