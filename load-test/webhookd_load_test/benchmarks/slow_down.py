"""The command `slow-down`: draws the picture of docs/explanation/pacing.md from a run."""

import time
from collections.abc import Iterator
from pathlib import Path

import click

from webhookd_load_test.benchmarks.endpoints.limited_endpoint import CHANGES_AT_S, LimitedEndpoint, limit
from webhookd_load_test.benchmarks.kafka.backlog import backlog
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.log_folder import ROOT
from webhookd_load_test.benchmarks.rig.rig import Rig

PICTURE: Path = ROOT / "docs" / "pictures" / "slow-down.svg"
TOPIC, PARTITIONS, RECORDS = "slow-down", 32, 60_000
LASTS_S = 120
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 860, 300, 50, 20, 40
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #59636e }
.axis { stroke: #d1d9e0; fill: none } .limit { stroke: #59636e; stroke-dasharray: 4 3; fill: none }
.taken { stroke: #0969da; stroke-width: 2; fill: none } .refused { fill: #d1242f }
@media (prefers-color-scheme: dark) {
  text { fill: #9198a1 } .axis { stroke: #3d444d } .taken { stroke: #4493f8 } .refused { fill: #f85149 }
}
"""


@click.command()
def slow_down() -> None:
    """Draw docs/pictures/slow-down.svg anew: the rate of a subscription whose endpoint answers 429 above a limit.

    One subscription of 32 partitions with a backlog, and no limit set. The endpoint takes 100 requests a second, and
    300 from the middle on; it answers every further one with 429. The picture shows, for each second, what it has
    acknowledged and what it has refused. It takes two minutes.
    """
    end_with(_draw)


def drawn(endpoint: LimitedEndpoint) -> str:
    """The picture."""
    seconds = range(LASTS_S)
    highest = 1.1 * max([limit(LASTS_S), *endpoint.taken.values(), *endpoint.refused.values()])

    def place(second: float, count: float) -> str:
        x = LEFT + (WIDTH - LEFT - 10) * second / LASTS_S
        return f"{x:.1f},{TOP + (HEIGHT - TOP - BOTTOM) * (1 - count / highest):.1f}"

    def line(name: str, points: Iterator[str]) -> str:
        return f'<polyline class="{name}" points="{" ".join(points)}"/>'

    marks = "".join(
        f'<text x="{LEFT - 8}" y="{place(0, count).partition(",")[2]}" text-anchor="end">{count}</text>'
        for count in range(0, int(highest), 100)
    ) + "".join(
        f'<text x="{place(second, 0).partition(",")[0]}" y="{HEIGHT - 22}" text-anchor="middle">{second} s</text>'
        for second in range(0, LASTS_S + 1, 20)
    )
    dots = "".join(
        f'<circle class="refused" r="3" cx="{x}" cy="{y}"/>'
        for second in seconds
        if endpoint.refused[second]
        for x, y in [place(second + 0.5, endpoint.refused[second]).split(",")]
    )
    key = "blue: acknowledged requests a second; red: 429 in this second; dashed: what the endpoint takes"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><style>{STYLE}</style>'
        + line("axis", iter([place(0, highest), place(0, 0), place(LASTS_S, 0)]))
        + line("limit", (place(second + part, limit(second)) for second in seconds for part in (0, 1)))
        + line("taken", (place(second + 0.5, endpoint.taken[second]) for second in seconds))
        + f'{dots}{marks}<text x="{LEFT}" y="{HEIGHT - 4}">{key}</text></svg>\n'
    )


def measure(rig: Rig) -> LimitedEndpoint:
    """Deliver to the endpoint; returns it with its counts."""
    rig.create_topics({TOPIC: PARTITIONS})
    backlog(rig.kafka.address, TOPIC, PARTITIONS, RECORDS)
    endpoint = LimitedEndpoint()
    with rig.pipeline(), rig.subscription(endpoint.url, TOPIC, retry={"max_retries": 10}):
        while endpoint.lasts_s < LASTS_S:
            time.sleep(0.1)
    endpoint.close()
    return endpoint


def _draw() -> int:
    with Rig() as rig:
        endpoint = measure(rig)
    PICTURE.write_text(drawn(endpoint), encoding="utf-8")
    for first, end in ((0, CHANGES_AT_S), (CHANGES_AT_S, LASTS_S)):
        taken, refused = (sum(of[s] for s in range(first, end)) for of in (endpoint.taken, endpoint.refused))
        rate = taken / (end - first)
        click.echo(f"{first} to {end} s: {rate:.0f} of {limit(first)} requests/s taken, {refused} refused")
    click.echo(f"written: {PICTURE}")
    return 0
