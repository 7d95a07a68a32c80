"""How much a scenario needs of producer and receiver. Oracle: the numbers that the test itself writes."""

from pathlib import Path

from webhookd_load_test.records import csv_writer
from webhookd_load_test.records.generate import Record
from webhookd_load_test.scenario.needed_rate import NeededRate, needed
from webhookd_load_test.scenario.planned_subscription import plan
from webhookd_load_test.scenario.scenario_file import Load, Scenario, Subscriptions


def test_receiver_needs_what_the_filters_keep(tmp_path: Path) -> None:
    records = [Record("t", b'{"n":%d}' % (number % 4), None, number) for number in range(40)]
    csv_writer.write(tmp_path / "records.csv", records)
    load = Load(rows=40, duration_s=2.0)
    groups = [Subscriptions(name="all", count=2), Subscriptions(name="one", count=4, filters=["n == `{n}`"])]
    planned = plan(Scenario(name="s", summary="", load=load, subscriptions=groups), ["t"])
    assert needed(load, tmp_path / "records.csv", planned) == NeededRate(producer_per_s=20.0, receiver_per_s=60.0)
