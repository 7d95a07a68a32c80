"""Twelve subscriptions on two topics whose records go, or are not what they should be, while some endpoints fail.

Retention removes records that those behind had not got, a topic grows, a topic is recreated, records are not JSON, and
transactions are aborted. Oracles as in test_shared_topics.py, the lost ranges in the status, and the dead letters.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import pytest
from confluent_kafka import TopicPartition

from tests.chaos import faults
from tests.chaos.environment import DEADLINE_S, LONGEST_PROBE_S, Site
from tests.chaos.findings import Cost, Watched
from tests.chaos.lost_ranges import Cut, lost_ranges, problems, removed, reported
from tests.chaos.report import Report
from tests.chaos.rounds import Planned, run_planned
from tests.chaos.scenario import PARTITIONS, Scenario
from tests.chaos.shared_records import UNDECODABLE_EVERY
from tests.chaos.shared_topics import PER_S, SETTINGS, SharedTopics, flapping, together
from tests.chaos.topic_changes import GROWS, RECREATED, grow, recreate
from tests.chaos.transactions import Transactions
from tests.harness.checking_receiver import Behaviour
from tests.harness.load import Load, Sent

BEHIND = 4
FAIL_S = (7.0, 10.0)
PATIENCE_S = 60.0
EXPLAINED_S = 120.0
"""A lane may have read records before Kafka removed them. Then it delivers them, which a busy machine does slowly."""

BURST_PER_S = 1000.0
"""So many records a second make a recreated topic longer than the one before, soon."""

PASSES = Cost(recovery_s=LONGEST_PROBE_S + DEADLINE_S, why="as long as they fail + the longest wait for a probe")

pytestmark = pytest.mark.chaos


@pytest.fixture
def served(site: Site) -> Site:
    site.ensure_running(**SETTINGS)
    return site


def test_retention_that_passes_by_loses_only_what_it_removed_and_names_it(served: Site, report: Report) -> None:
    with Scenario("shared topics: retention passes by", served, report, topics=2) as scenario:
        SharedTopics(scenario).load()
        behind = scenario.chance.sample(scenario.watched, BEHIND)
        others = [watched for watched in scenario.watched if watched not in behind]
        for watched in others:
            watched.windows = []
        with scenario.fault_window(PASSES):
            for watched in behind:
                watched.receivers[0].behave(scenario.chance.choice(faults.BAD))
            served.run_for(scenario.chance.uniform(*FAIL_S))
            cut = pass_by(scenario, others)
            served.run_for(scenario.chance.uniform(1.0, 3.0))
            for watched in behind:
                watched.receivers[0].behave(Behaviour.ANSWER)
            served.wait_until(lambda: not any(unexplained(scenario, one, cut) for one in behind), EXPLAINED_S)
            left = {watched.label: missing for watched in behind if (missing := unexplained(scenario, watched, cut))}
            assert not left, f"neither arrived nor reported as lost, by partition: {left}"
        found = [problem for watched in scenario.watched for problem in problems_of(scenario, watched, cut)]
        assert not found, "\n".join(found)
        assert any(watched.exempt for watched in behind), "retention removed nothing that was not delivered"
        assert not any(lost_ranges(served.pipeline.status(watched.id)) for watched in others)


def pass_by(scenario: Scenario, caught_up: Sequence[Watched]) -> Cut:
    """Delete all records up to now, as soon as those that are caught up have got a later one of each partition."""
    pipeline = scenario.site.pipeline
    cut = {(topic, number): end for topic in scenario.topics for number, end in pipeline.ends(topic).items()}
    until = {watched.label: ends_for(watched, scenario.sent(), cut) for watched in caught_up}
    late = "some that are caught up are not past the ends"
    assert scenario.site.wait_until(lambda: all(is_past(one, until[one.label]) for one in caught_up), PATIENCE_S), late
    places = [TopicPartition(topic, number, end) for (topic, number), end in cut.items()]
    for deleted in pipeline.admin.delete_records(places).values():
        deleted.result(PATIENCE_S)
    return cut


def ends_for(watched: Watched, sent: Mapping[int, Sent], cut: Cut) -> Cut:
    """The ends of the partitions of which it wants records; it shows nothing of the others."""
    wanted = {(record.topic, record.partition) for record in watched.wanted(sent).values()}
    return {place: cut[place] for place in wanted}


def is_past(watched: Watched, ends: Cut) -> bool:
    last = {(key.topic, key.partition): lane.first[-1].offset for key, lane in watched.receivers[0].lanes().items()}
    return all(last.get(place, -1) >= end for place, end in ends.items())


def unexplained(scenario: Scenario, watched: Watched, cut: Cut) -> dict[tuple[str, int], int]:
    """How many records that Kafka has removed neither arrived nor are reported as lost; those reported are exempt."""
    sent = scenario.sent()
    watched.exempt |= reported(watched, sent, lost_ranges(scenario.site.pipeline.status(watched.id)))
    arrived = {number for lane in watched.receivers[0].lanes().values() for number in lane.seen}
    missing = [sent[number] for number in removed(watched, sent, cut) - arrived]
    return Counter((record.topic, record.partition) for record in missing)


def problems_of(scenario: Scenario, watched: Watched, cut: Cut) -> list[str]:
    ranges = lost_ranges(scenario.site.pipeline.status(watched.id))
    return list(problems(watched, scenario.sent(), ranges, cut))


@pytest.mark.parametrize("at_once", [False, True], ids=["and shorter", "at once, and longer"])
def test_topics_that_grow_and_are_recreated_are_read_whole(served: Site, report: Report, *, at_once: bool) -> None:
    name = f"shared topics: one grows, one is recreated {'at once' if at_once else 'later'}"
    with Scenario(name, served, report, topics=2) as scenario:
        shared = SharedTopics(scenario)
        growing, ending = shared.load()
        with scenario.fault_window(GROWS):
            grow(scenario, growing, PARTITIONS + scenario.chance.randint(1, 3))
            served.run_for(2.0)
        ending.stop()
        assert served.wait_until(lambda: scenario.missing(ending.sent) == 0, PATIENCE_S), "all of the first incarnation"
        with scenario.fault_window(RECREATED):
            recreate(scenario, ending.topic, at_once=at_once)
            if at_once:
                burst(scenario, shared, ending)
            values = shared.records.values(ending.topic)
            scenario.load(PER_S, topic=ending.topic, values=values, incarnation=2, wait=False)
            served.run_for(3.0)


def burst(scenario: Scenario, shared: SharedTopics, before: Load) -> None:
    """Produce more records than there were before."""
    values = shared.records.values(before.topic)
    load = scenario.load(BURST_PER_S, topic=before.topic, values=values, incarnation=2, wait=False)
    assert scenario.site.wait_until(lambda: len(load.sent) > 1.2 * len(before.sent), PATIENCE_S)
    load.stop()


def test_unreadable_and_aborted_records_take_nothing_else_with_them(served: Site, report: Report) -> None:
    with Scenario("shared topics: not JSON, and aborted", served, report, topics=2) as scenario:
        shared = SharedTopics(scenario)
        transactions = [Transactions(scenario, topic, shared.records) for topic in scenario.topics]
        for transactional in transactions:
            scenario.begin(transactional)
        shared.load(undecodable_every=UNDECODABLE_EVERY)
        chance = scenario.chance
        for processes in ((), (faults.INGEST_KILLED,)):
            some = chance.sample(scenario.watched, 4)
            killed = [Planned(fault=fault, begins_s=3.0, ends_s=3.0 + chance.uniform(0.5, 2.0)) for fault in processes]
            run_planned(scenario, [*flapping(chance, some), *killed], together(*processes))
        shared.assert_dead_letters()
        assert all(one.committed and one.aborted for one in transactions)
