"""Compares what the receivers got with what Kafka has acknowledged and what was committed.

lost         a record that Kafka acknowledged and the receiver never got
disorder     a record that arrived for the first time after a later one of its lane
duplicates   records that arrived again; the bound is what was in flight at each fault (`_in_flight`)
rewound      a record that arrived again although it was committed before the fault began
stall        the longest time in which a lane had a record and no new one of it arrived
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.harness.checking_receiver import Arrival, ArrivalLog, Arrivals, CheckingReceiver, LaneKey
from tests.harness.commit_watch import CommitHistory
from tests.harness.load import Sent

SLACK_S = 15.0
"""What a slow machine may add to a bound that consists of configured times."""

IN_PROGRESS_S = 1.0
"""How long a delivery in progress continues after a fault began: its time budget (0.5 s), the check of the epochs
(0.1 s), the request, and some time for the machine."""

AFTER_END_S = 0.5
"""How long the end of a fault (a thawed process, say) can cause resends; after that the backlog is delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a fault may cost.

    recovery_s            how long a lane may stall after its end, by the configured times; without SLACK_S
    why                   which configured times these are
    stalls                lanes may also stall while it lasts
    resends_at_start      what is in flight when it begins may be sent again
    later_resends         how many more times this may happen, until `aftershock_s` after its end
    lost_writes_s         what was settled in this time before it began may be sent again
    unsettled_while_down  deliveries continue while it lasts, but no process settles them
    """

    recovery_s: float
    why: str
    stalls: bool = True
    resends_at_start: bool = True
    later_resends: int = 0
    aftershock_s: float = 0.0
    lost_writes_s: float = 0.0
    unsettled_while_down: bool = False


@dataclass(slots=True, kw_only=True)
class FaultWindow:
    """When a fault began and ended, and when the service had recovered (monotonic)."""

    cost: Cost
    began_at: float
    ended_at: float = 0.0
    until_at: float = 0.0
    of: "Watched | None" = None
    """The subscription that it affects; None for all."""

    @property
    def longest_stall_s(self) -> float:
        """How long a lane may stall because of it."""
        lasted_s = self.ended_at - self.began_at if self.cost.stalls else 0.0
        return lasted_s + self.cost.recovery_s + SLACK_S


@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """One subscription in a scenario: what it should get, what its receivers got, what its group has committed."""

    label: str
    id: str
    receivers: Sequence[CheckingReceiver]
    wants: Callable[[int], bool]
    commits: CommitHistory
    topics: Sequence[str] = ()
    """What it reads of the load's topics; empty: all of them."""

    batching_wait_s: float = 0.0
    """How long a record may wait without any fault: the batching interval."""

    stall_bound_s: float | None = None
    """Overrides the bound that follows from the fault windows."""

    windows: Sequence[FaultWindow] | None = None
    """Overrides the scenario's fault windows: those that affect this subscription."""

    exempt: set[int] = field(default_factory=set)
    """Records that need not arrive because their topic was deleted."""

    deleted: bool = False
    """After the deletion no more records need to arrive, and nothing is committed."""

    def wanted(self, sent: Mapping[int, Sent]) -> dict[int, Sent]:
        """The records of the load that it should get."""
        return {number: record for number, record in sent.items() if self.should_get(number, record.topic)}

    def should_get(self, number: int, topic: str) -> bool:
        """Whether it should get this record of that topic."""
        return (not self.topics or topic in self.topics) and number not in self.exempt and self.wants(number)

    def missing_count(self, wanted: set[int]) -> int:
        """How many of these records have not arrived at any of its receivers."""
        if len(self.receivers) == 1:
            return self.receivers[0].missing_count(wanted)
        got = {n for receiver in self.receivers for lane in receiver.lanes().values() for n in lane.seen}
        return len(wanted - got)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One subscription's figures, and a description of each problem."""

    label: str
    records: int
    lost: int
    duplicates: int
    duplicate_bound: int
    stall_s: float
    stall_bound_s: float
    problems: tuple[str, ...]


def find(watched: Watched, sent: Mapping[int, Sent], windows: Sequence[FaultWindow], since: float) -> Finding:
    """Check one subscription; stalls are counted from `since`, when all subscriptions were delivering."""
    windows = _windows_of(watched, windows)
    wanted = watched.wanted(sent)
    lanes = _merged(watched.receivers)
    arrived = {a.number: (key, a) for key, lane in lanes.items() for a in lane.first}
    if watched.deleted:
        wanted = {number: record for number, record in wanted.items() if number in arrived}
    lost = [number for number in wanted if number not in arrived]
    duplicates = sum(len(lane.again) for lane in lanes.values())
    bound = sum(_resendable(window, lanes, watched.commits) for window in windows)
    stall, stall_bound = longest_stall_s(lanes, sent, since), _stall_bound_s(watched, windows)
    misplaced = list(_misplaced(wanted, arrived))
    problems = {
        f"{len(lost)} records lost, of {len(wanted)}: {sorted(lost)[:5]}…": bool(lost),
        "records out of order": any(lane.backwards for lane in lanes.values()),
        f"{duplicates} duplicates, at most {bound} were in flight": duplicates > bound,
        f"a lane stalled for {stall:.1f} s, the bound is {stall_bound:.1f} s": stall > stall_bound,
        f"positions other than Kafka gave: {misplaced[:3]}": bool(misplaced),
        "records arrived that the filter drops": any(not watched.wants(number) for number in arrived),
        "records of a topic that it does not read": bool(watched.topics)
        and not {k.topic for k in lanes} <= {*watched.topics},
        f"committed offsets went backwards: {watched.commits.backwards}": bool(watched.commits.backwards),
    }
    rewound = list(_rewound(lanes, watched.commits, windows))
    problems[f"sent again although committed before the fault: {len(rewound)}, {rewound[:3]}"] = bool(rewound)
    return Finding(
        label=watched.label,
        records=len(wanted),
        lost=len(lost),
        duplicates=duplicates,
        duplicate_bound=bound,
        stall_s=stall,
        stall_bound_s=stall_bound,
        problems=tuple(problem for problem, found in problems.items() if found),
    )


def _windows_of(watched: Watched, windows: Sequence[FaultWindow]) -> Sequence[FaultWindow]:
    if watched.windows is not None:
        return watched.windows
    return [window for window in windows if window.of in {None, watched}]


def longest_stall_s(lanes: Mapping[LaneKey, Arrivals], sent: Mapping[int, Sent], since: float) -> float:
    """The longest wait of a record: from its acknowledgement, or the arrival of the previous one, to its arrival."""
    longest = 0.0
    for lane in lanes.values():
        before = since
        for arrival in lane.first:
            if arrival.number in sent:
                longest = max(longest, arrival.at - max(before, sent[arrival.number].at))
            before = arrival.at
    return longest


def _merged(receivers: Sequence[CheckingReceiver]) -> dict[LaneKey, Arrivals]:
    """The arrivals at all receivers of a subscription, merged."""
    if len(receivers) == 1:
        return receivers[0].lanes()
    every: dict[LaneKey, list[Arrival]] = {}
    for receiver in receivers:
        for key, lane in receiver.lanes().items():
            every.setdefault(key, []).extend([*lane.first, *lane.again])
    merged = ArrivalLog()
    for key, arrivals in every.items():
        for arrival in sorted(arrivals):
            merged.note(key, arrival)
    return merged.lanes


def _stall_bound_s(watched: Watched, windows: Sequence[FaultWindow]) -> float:
    """The longest bound of all faults; overlapping ones are added up."""
    if watched.stall_bound_s is not None:
        return watched.stall_bound_s
    longest, since, until = 0.0, 0.0, 0.0
    for window in sorted(windows, key=lambda window: window.began_at):
        if window.began_at > until:
            since = window.began_at
        until = max(until, window.began_at + window.longest_stall_s)
        longest = max(longest, until - since)
    return max(longest, SLACK_S) + watched.batching_wait_s


def _resendable(window: FaultWindow, lanes: Mapping[LaneKey, Arrivals], commits: CommitHistory) -> int:
    """How many records this fault may have caused to be sent again: those in flight at its start and later."""
    began_at, over_at = window.began_at, window.ended_at + window.cost.aftershock_s
    unsettled_until = window.ended_at + AFTER_END_S if window.cost.unsettled_while_down else 0.0
    in_progress_until = max(began_at + IN_PROGRESS_S, unsettled_until)
    at_start = _in_flight(lanes, commits, began_at - window.cost.lost_writes_s, in_progress_until)
    times = commits.times(began_at, over_at)
    counted = (_in_flight(lanes, commits, at, min(at + IN_PROGRESS_S, over_at + AFTER_END_S)) for at in times)
    return at_start * window.cost.resends_at_start + max(counted, default=at_start) * window.cost.later_resends


def _in_flight(lanes: Mapping[LaneKey, Arrivals], commits: CommitHistory, since: float, until: float) -> int:
    """How many records had arrived by `until` but were not committed at `since`: at most these can be sent again."""
    count = 0
    for key, lane in lanes.items():
        arrived = bisect_right(lane.first, until, key=lambda arrival: arrival.at)
        settled = bisect_left(lane.first, commits.committed(key, since), key=lambda arrival: arrival.offset)
        count += max(0, arrived - settled)
    return count


def _misplaced(wanted: Mapping[int, Sent], arrived: Mapping[int, tuple[LaneKey, Arrival]]) -> Iterator[str]:
    for number, record in wanted.items():
        if number not in arrived:
            continue
        key, arrival = arrived[number]
        offset = arrival.offset if record.offset is None else record.offset
        arrived_as, acknowledged_as = (
            (*key, arrival.offset),
            (record.topic, record.incarnation, record.partition, offset),
        )
        if arrived_as != acknowledged_as:
            yield f"{number} arrived as {arrived_as}, Kafka returned {acknowledged_as}"


def _rewound(
    lanes: Mapping[LaneKey, Arrivals], commits: CommitHistory, windows: Sequence[FaultWindow]
) -> Iterator[str]:
    """Records that arrived again from below the position that was committed when the fault began."""
    for key, lane in lanes.items():
        for arrival in lane.again:
            since = _fault_began_at(windows, arrival.at)
            committed = commits.committed(key, since)
            if arrival.offset < committed:
                yield f"{key.topic}/{key.partition}@{arrival.offset} after {committed} was committed"


def _fault_began_at(windows: Sequence[FaultWindow], at: float) -> float:
    """When the fault began that can have caused a duplicate at `at`; `at` itself when there is none."""
    before = [window for window in windows if window.began_at <= at]
    open_ = [window for window in before if window.until_at >= at] or before[-1:]
    return min((window.began_at - window.cost.lost_writes_s for window in open_), default=at)
