"""How much faster producer and receiver are than the run needs: without that, a run would measure them."""

import math

from webhookd_load_test.report import number_format
from webhookd_load_test.report.table import Table
from webhookd_load_test.run_folder.facts import LEAST_HEADROOM, Headroom


def headroom_table(headroom: Headroom) -> Table:
    """A row each for producer and receiver."""
    sides = headroom.sides
    return Table(
        title="Headroom",
        about=f"Measured alone, each must be at least {LEAST_HEADROOM:g} times as fast as this run needs. "
        + _verdict(min(side.factor for side in sides)),
        columns=["Side", "Alone", "Needed", "Factor", "Enough"],
        rows=[
            [
                side.name.capitalize(),
                number_format.rate(side.alone_per_s),
                number_format.rate(side.needed_per_s),
                f"{number_format.plain(side.factor)} ×" if math.isfinite(side.factor) else number_format.UNKNOWN,
                "yes" if side.enough else "NO",
            ]
            for side in sides
        ],
        wrong=frozenset(row for row, side in enumerate(sides) if not side.enough),
    )


def _verdict(factor: float) -> str:
    if math.isinf(factor):
        return ""
    least = f"The smaller is {number_format.plain(factor)} times as fast"
    return f"{least}: enough." if factor >= LEAST_HEADROOM else f"{least}: NOT enough, the run may show their limits."
