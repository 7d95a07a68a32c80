"""What a receiver's record says, held against what Kafka has acknowledged and what was committed.

lost         a record that Kafka acknowledged and the receiver never got
disorder     a record that came for the first time after a later one of its lane
duplicates   records that came again; the bound is what was in flight at each fault (`_in_flight`)
rewound      a record that came again although it was committed before the fault began
stall        the longest time for which a lane had a record and nothing new arrived from it
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.harness.checking_receiver import Arrival, Arrivals, CheckingReceiver, LaneKey
from tests.harness.commit_watch import CommitHistory
from tests.harness.load import Sent

SLACK_S = 15.0
"""What a busy machine may add to any bound that is made of configured times."""

IN_PROGRESS_S = 1.0
"""A delivery that was under way when the fault struck goes on for so long: its time budget (0.5 s), the look at the
epochs (0.1 s), the request, and some time for the machine."""

AFTER_END_S = 0.5
"""What goes on after the end of a fault until its own disturbance (a thawed process, say) has had its effect; what
follows is the backlog being delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a fault may cost.

    `recovery_s` is how long after its end a lane may stand still by the configured times, `why` says which ones; the
    machine's slowness is not in it (SLACK_S). `stalls`: whether lanes may stand still for as long as it lasts, too.
    What is in flight may be sent again when it `strikes`, and at so many `later` moments up to `aftershock_s` after its
    end. `amnesia_s` is how much of what was settled before it began may come back. `orphans`: what was in flight goes
    on being delivered until the fault ends, with nobody to settle it.
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
    """When a fault began and ended, and until when its effects were waited out (monotonic)."""

    cost: Cost
    began_at: float
    ended_at: float = 0.0
    until_at: float = 0.0
    of: "Watched | None" = None
    """The only subscription it concerns."""

    @property
    def longest_stall_s(self) -> float:
        """How long a lane may stand still because of it."""
        lasted_s = self.ended_at - self.began_at if self.cost.stalls else 0.0
        return lasted_s + self.cost.recovery_s + SLACK_S


@dataclass(slots=True, kw_only=True, eq=False)
class Watched:
    """One subscription in a scenario: what it is to get, what its receivers got, what its group has committed."""

    label: str
    id: str
    receivers: Sequence[CheckingReceiver]
    wants: Callable[[int], bool]
    commits: CommitHistory
    batching_wait_s: float = 0.0
    """How long a record may wait when nothing is wrong: the batching interval."""

    stall_bound_s: float | None = None
    """Instead of what follows from the marks."""

    windows: Sequence[FaultWindow] | None = None
    """Instead of the scenario's: the faults that concern this subscription alone."""

    exempt: set[int] = field(default_factory=set)
    """Records that need not arrive: their topic was deleted before."""

    deleted: bool = False
    """Then it is to get no more than it has got, and nobody commits."""

    def wanted(self, sent: Mapping[int, Sent]) -> dict[int, Sent]:
        """Those of the load that it is to get."""
        return {number: record for number, record in sent.items() if self.wants(number) and number not in self.exempt}

    def missing_count(self, wanted: set[int]) -> int:
        """How many of these none of its receivers has got."""
        if len(self.receivers) == 1:
            return self.receivers[0].missing_count(wanted)
        got = {n for receiver in self.receivers for lane in receiver.lanes().values() for n in lane.seen}
        return len(wanted - got)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One subscription's figures, and in words what is wrong with them."""

    label: str
    records: int
    lost: int
    duplicates: int
    duplicate_bound: int
    stall_s: float
    stall_bound_s: float
    problems: tuple[str, ...]


def find(watched: Watched, sent: Mapping[int, Sent], windows: Sequence[FaultWindow], since: float) -> Finding:
    """Hold the records of one subscription against each other; stalls are counted from `since`, when all flowed."""
    windows = (
        watched.windows
        if watched.windows is not None
        else [window for window in windows if window.of in {None, watched}]
    )
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
        f"a lane stood still for {stall:.1f} s, the bound is {stall_bound:.1f} s": stall > stall_bound,
        f"positions other than Kafka gave: {misplaced[:3]}": bool(misplaced),
        "records arrived that no filter keeps": any(not watched.wants(number) for number in arrived),
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


def longest_stall_s(lanes: Mapping[LaneKey, Arrivals], sent: Mapping[int, Sent], since: float) -> float:
    """From when a lane had a record that Kafka had acknowledged, and its previous one had arrived."""
    longest = 0.0
    for lane in lanes.values():
        before = since
        for arrival in lane.first:
            if arrival.number in sent:
                longest = max(longest, arrival.at - max(before, sent[arrival.number].at))
            before = arrival.at
    return longest


def _merged(receivers: Sequence[CheckingReceiver]) -> dict[LaneKey, Arrivals]:
    """What all of a subscription's receivers got, as if it had come to one."""
    if len(receivers) == 1:
        return receivers[0].lanes()
    every: dict[LaneKey, list[Arrival]] = {}
    for receiver in receivers:
        for key, lane in receiver.lanes().items():
            every.setdefault(key, []).extend([*lane.first, *lane.again])
    merged = {key: Arrivals() for key in every}
    for key, arrivals in every.items():
        for arrival in sorted(arrivals):
            merged[key].note(arrival)
    return merged


def _stall_bound_s(watched: Watched, windows: Sequence[FaultWindow]) -> float:
    """The longest of the faults' own bounds, where they overlap taken together."""
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
    """What this fault may have had sent again: what was in flight as it struck, and at its later disturbances."""
    began_at, over_at = window.began_at, window.ended_at + window.cost.aftershock_s
    unsettled_until = window.ended_at + AFTER_END_S if window.cost.unsettled_while_down else 0.0
    in_progress_until = max(began_at + IN_PROGRESS_S, unsettled_until)
    at_start = _in_flight(lanes, commits, began_at - window.cost.lost_writes_s, in_progress_until)
    times = commits.times(began_at, over_at)
    counted = (_in_flight(lanes, commits, at, min(at + IN_PROGRESS_S, over_at + AFTER_END_S)) for at in times)
    return at_start * window.cost.resends_at_start + max(counted, default=at_start) * window.cost.later_resends


def _in_flight(lanes: Mapping[LaneKey, Arrivals], commits: CommitHistory, since: float, until: float) -> int:
    """How many records had arrived by `until` that were not committed at `since`: at most those can come again."""
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
        came, given = (*key, arrival.offset), (record.topic, record.incarnation, record.partition, offset)
        if came != given:
            yield f"{number} came as {came}, Kafka said {given}"


def _rewound(
    lanes: Mapping[LaneKey, Arrivals], commits: CommitHistory, windows: Sequence[FaultWindow]
) -> Iterator[str]:
    """What came again from below the position that was committed when the fault struck."""
    for key, lane in lanes.items():
        for arrival in lane.again:
            since = _fault_began_at(windows, arrival.at)
            floor = commits.committed(key, since)
            if arrival.offset < floor:
                yield f"{key.topic}/{key.partition}@{arrival.offset} after {floor} was committed"


def _fault_began_at(windows: Sequence[FaultWindow], at: float) -> float:
    """When the fault began whose effects a duplicate at `at` can be; `at` itself when there is none."""
    before = [window for window in windows if window.began_at <= at]
    open_ = [window for window in before if window.until_at >= at] or before[-1:]
    return min((window.began_at - window.cost.lost_writes_s for window in open_), default=at)
