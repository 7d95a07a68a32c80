"""Checks what one subscription got, one delivery after the other."""

from collections import Counter
from functools import partial
from itertools import islice
from pathlib import Path

from webhookd_load_test.compare.deliveries import Delivery, Requests
from webhookd_load_test.compare.filter_oracle import Selection
from webhookd_load_test.compare.lane_order import LaneOrder
from webhookd_load_test.compare.lane_stalls import LaneStall
from webhookd_load_test.compare.latencies import latency_of, samples
from webhookd_load_test.compare.number_set import NumberSet
from webhookd_load_test.compare.published_records import Lane, PublishedRecords, described
from webhookd_load_test.compare.received_values import DifferingValues, same_key
from webhookd_load_test.compare.run_series import RunSeries
from webhookd_load_test.run_folder.facts import RunSubscription
from webhookd_load_test.run_folder.result import LISTED, Deviation, DeviationKind, SubscriptionResult
from webhookd_load_test.run_folder.units import NS_PER_S


class SubscriptionCheck:
    """The state of one subscription: a bit for each record, four bytes for each delivery, and an entry for each key."""

    def __init__(
        self,
        subscription: RunSubscription,
        selection: Selection,
        published: PublishedRecords,
        differing: DifferingValues,
        series: RunSeries,
        *,
        timed: bool = True,
    ) -> None:
        """`timed`: its latency counts for the whole run."""
        self._timed = timed
        self.subscription = subscription
        self.duplicates = 0
        self.last_ns = 0
        """When the last first delivery came."""
        self._selection, self._published, self._differing, self._series = selection, published, differing, series
        self._seen = NumberSet()
        self._late_ms = samples()
        self._deviated: Counter[DeviationKind] = Counter()
        self._deviations: list[Deviation] = []
        self._order = LaneOrder()
        self._stalls = {
            lane: LaneStall(records, selection.wanted, self._seen)
            for lane, records in published.lanes.items()
            if lane.topic in selection.topics
        }

    def add(self, delivery: Delivery) -> None:
        """Take a delivery of a record of the run."""
        number = delivery.number
        if number is None or number not in self._selection.wanted:
            self._series.add(delivery)
            self._deviate("unexpected", delivery)
            return
        self._compare(delivery, number)
        if number in self._seen:
            self._series.add_duplicate(delivery)
            self.duplicates += 1
            return
        lane = Lane(delivery.true_topic, delivery.true_partition)
        self._order.add(lane, delivery, number)
        if (stall := self._stalls.get(lane)) is not None:
            stall.arrive(delivery.received_ns)
        self._seen.add(number)
        self.last_ns = delivery.received_ns
        self._late_ms.append(self._series.add_first(delivery, timed=self._timed))

    def _compare(self, delivery: Delivery, number: int) -> None:
        """Compare the delivery with what was published; without an acknowledgement only its value is known."""
        if delivery.value is not None and not self._published.has_value(number, delivery.value):
            self._differing.add(number, delivery.value, partial(self._deviate, "value", delivery._replace(value=None)))
        if not delivery.in_place:
            self._deviate("place", delivery)
        if delivery.acknowledged and not same_key(delivery.true_key, delivery.key):
            self._deviate("key", delivery)

    def _deviate(self, kind: DeviationKind, delivery: Delivery) -> None:
        self._deviated[kind] += 1
        if len(self._deviations) < LISTED:
            self._deviations.append(
                Deviation(
                    kind=kind,
                    number=delivery.number,
                    topic=delivery.topic,
                    partition=delivery.partition,
                    offset=delivery.offset,
                )
            )

    def result(self, published: Path, requests: Requests, ended_ns: int) -> SubscriptionResult:
        """The result, after the last delivery. Reads the places of the missing records."""
        expected = self._selection.wanted & self._published.acknowledged
        missing = expected - self._seen
        wanted, lost, path = len(expected), len(missing), self.subscription.path
        stall_ns, lane = self._longest_stall(ended_ns)
        return SubscriptionResult(
            id=self.subscription.id,
            name=self.subscription.name,
            expected=wanted,
            delivered=wanted - lost,
            lost=lost,
            unexpected=self._deviated["unexpected"],
            duplicates=self.duplicates,
            disorders=self._order.disorders,
            key_disorders=self._order.key_disorders,
            invalid_signatures=requests.invalid[path],
            refused=requests.refused[path],
            undecided=len(self._selection.undecided & self._published.acknowledged),
            unacknowledged=len(self._seen - self._published.acknowledged),
            wrong_places=self._deviated["place"],
            wrong_keys=self._deviated["key"],
            wrong_values=self._deviated["value"],
            latency=latency_of([self._late_ms]),
            longest_stall_s=stall_ns / NS_PER_S,
            longest_stall_lane=lane,
            missing=described(published, islice(missing, LISTED)),
            disorder=self._order.listed,
            deviations=self._deviations,
        )

    def _longest_stall(self, ended_ns: int) -> tuple[int, str]:
        """The longest one, with its lane; 0 and no lane when there was none. Records that are lost stand to the end."""
        for stall in self._stalls.values():
            stall.arrive(ended_ns)
        stalls = {str(lane): stall.longest_ns for lane, stall in self._stalls.items()}
        lane = max(stalls, key=stalls.__getitem__, default="")
        return (stalls[lane], lane) if lane and stalls[lane] else (0, "")
