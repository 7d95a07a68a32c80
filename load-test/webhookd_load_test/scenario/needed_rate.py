"""How many records a second a scenario needs of its producer and of its receiver."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from webhookd_load_test.compare.filter_oracle import FilterOracle, Selection
from webhookd_load_test.records import csv_file
from webhookd_load_test.scenario.planned_subscription import PlannedSubscription
from webhookd_load_test.scenario.scenario_file import Load

JUDGED_RECORDS = 500
"""The share of the records that a subscription wants is taken from so many; 1,000 filters would take long for more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededRate:
    """Records a second, without duplicates."""

    producer_per_s: float
    receiver_per_s: float


def needed(load: Load, records: Path, planned: Sequence[PlannedSubscription]) -> NeededRate:
    """The rates of a load with these subscriptions."""
    rate_per_s = load.rows / load.duration_s
    selections = [Selection(one.topics, one.filters) for one in planned]
    oracle = FilterOracle(selections)
    judged = 0
    for number, record in enumerate(islice(csv_file.read(records), JUDGED_RECORDS)):
        oracle.add(number, record.topic, record.payload)
        judged += 1
    wanted = sum(len(selection.wanted) for selection in selections)
    return NeededRate(producer_per_s=rate_per_s, receiver_per_s=rate_per_s * wanted / judged)
