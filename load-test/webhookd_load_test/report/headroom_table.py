"""How much faster producer and receiver are than the run needs: without that, a run would measure them."""

from webhookd_load_test.report import number_format
from webhookd_load_test.report.tables import Table
from webhookd_load_test.run_folder.facts import Headroom

ENOUGH = 1.5


def headroom_table(headroom: Headroom) -> Table:
    """A row each for producer and receiver."""
    sides = (
        ("Producer", headroom.producer_per_s, headroom.needed_producer_per_s),
        ("Receiver", headroom.receiver_per_s, headroom.needed_receiver_per_s),
    )
    factors = [factor(alone, needed) for _, alone, needed in sides]
    return Table(
        title="Headroom",
        about=f"Measured alone, each must be at least {ENOUGH} times as fast as this run needs. {_verdict(factors)}",
        columns=["Side", "Alone", "Needed", "Factor", "Enough"],
        rows=[
            [side, number_format.rate(alone), number_format.rate(needed), _times(times), _enough(times)]
            for (side, alone, needed), times in zip(sides, factors, strict=True)
        ],
        wrong=frozenset(row for row, times in enumerate(factors) if times is not None and times < ENOUGH),
    )


def factor(alone_per_s: float, needed_per_s: float) -> float | None:
    """How many times as fast as needed; None when nothing is needed."""
    return alone_per_s / needed_per_s if needed_per_s > 0 else None


def _times(times: float | None) -> str:
    return f"{number_format.plain(times)} ×" if times is not None else number_format.UNKNOWN


def _enough(times: float | None) -> str:
    return "yes" if times is None or times >= ENOUGH else "NO"


def _verdict(factors: list[float | None]) -> str:
    known = [times for times in factors if times is not None]
    if not known:
        return ""
    least = f"The lesser is {number_format.plain(min(known))} times as fast"
    return f"{least}: enough." if min(known) >= ENOUGH else f"{least}: NOT enough, the run may show their limits."
