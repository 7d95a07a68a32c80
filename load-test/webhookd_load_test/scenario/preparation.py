"""Prepares a run: its records, topics, headroom, receiver and subscriptions."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from webhookd_load_test.receiver import headroom as receiver_headroom
from webhookd_load_test.receiver.receiver_processes import ReceiverProcesses
from webhookd_load_test.records import csv_writer, topics
from webhookd_load_test.records import headroom as producer_headroom
from webhookd_load_test.records.generate import Record, generate
from webhookd_load_test.run_folder.facts import Headroom, RunFacts
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.units import MS_PER_S
from webhookd_load_test.scenario import needed_rate, planned_subscription
from webhookd_load_test.scenario.planned_subscription import PlannedSubscription
from webhookd_load_test.scenario.registrations import Registrations
from webhookd_load_test.scenario.run_display import RunDisplay
from webhookd_load_test.scenario.scenario_file import Scenario
from webhookd_load_test.scenario.subscription_api import SubscriptionApi
from webhookd_load_test.scenario.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverAddress:
    """Where the receiver listens on loopback (0: a free port), and where webhookd reaches it, if not there."""

    port: int = 0
    url: str = ""


class Preparation:
    """What happens before the load."""

    def __init__(
        self,
        scenario: Scenario,
        folder: RunFolder,
        target: Target,
        display: RunDisplay,
        *,
        headroom: bool = True,
        endpoint: ReceiverAddress | None = None,
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._target = target
        self._display = display
        self._headroom = headroom
        self._endpoint = endpoint or ReceiverAddress()
        self._mark = "" if target.own else f"-{secrets.token_hex(4)}"
        """In the names of topics, which are this run's own also where other runs were."""
        self._root = f"/{secrets.token_hex(4)}"
        """Where paths begin: a subscription that an earlier run has left does not reach those of this one."""

    def prepare(self, facts: RunFacts, exits: ExitStack) -> ReceiverProcesses:
        """Prepare everything; returns the receiver. `exits` ends it, and deletes what stays after the run."""
        scenario, load = self._scenario, self._scenario.load
        names = [f"load-test-{scenario.name}{self._mark}-{number}" for number in range(load.topics)]
        planned = planned_subscription.plan(scenario, names, self._root)
        self._display.say(f"generating {load.rows:,} records of {load.payload_bytes} bytes")
        csv_writer.write(self._folder.records, self._records(names))
        self._display.say(f"creating {load.topics} topics of {load.partitions} partitions")
        self._create_topics(names, exits)
        facts.partitions = dict.fromkeys(names, load.partitions)
        if self._headroom:
            facts.headroom = self._measured(planned, exits)
        self._display.say("starting webhookd" if self._target.own else f"webhookd is at {self._target.api_url}")
        self._target.start_webhookd()
        receiver = exits.enter_context(self._receiver(planned))
        self._register(planned, receiver, facts, exits)
        return receiver

    def _create_topics(self, names: Sequence[str], exits: ExitStack) -> None:
        """Create topics, which are deleted at the end on a stack that stays."""
        if not self._target.own:
            exits.callback(self._delete_topics, names)
        partitions = dict.fromkeys(names, self._scenario.load.partitions)
        topics.create_topics(self._target.kafka, partitions, self._target.replication_factor)

    def _delete_topics(self, names: Sequence[str]) -> None:
        for name, why in topics.delete_topics(self._target.kafka, names).items():
            self._display.say(f"the topic {name} was not deleted: {why}")

    def _records(self, topics: Sequence[str]) -> Iterator[Record]:
        load = self._scenario.load
        return generate(
            rows=load.rows,
            duration_ms=round(load.duration_s * MS_PER_S),
            topics=topics,
            payload_bytes=load.payload_bytes,
            keys=load.keys,
            skew=load.skew,
            seed=load.seed,
        )

    def _measured(self, planned: Sequence[PlannedSubscription], exits: ExitStack) -> Headroom:
        """Measure producer and receiver alone, before webhookd runs. The topic is one that no subscription reads."""
        scenario = self._scenario
        self._display.say("measuring the producer and the receiver alone")
        topic = f"load-test-headroom{self._mark}"
        self._create_topics([topic], exits)
        needed = needed_rate.needed(scenario.load, self._folder.records, planned)
        batch = min(group.batch for group in scenario.subscriptions)
        return Headroom(
            producer_per_s=producer_headroom.measure(self._target.kafka, topic, scenario.load.payload_bytes),
            receiver_per_s=receiver_headroom.measure(
                self._folder.path, batch, scenario.load.payload_bytes, scenario.stack.receivers
            ),
            needed_producer_per_s=needed.producer_per_s,
            needed_receiver_per_s=needed.receiver_per_s,
        )

    def _receiver(self, planned: Sequence[PlannedSubscription]) -> ReceiverProcesses:
        return ReceiverProcesses(
            folder=self._folder,
            processes=self._scenario.stack.receivers,
            faults=planned_subscription.faults(self._scenario, self._root),
            seed=self._scenario.load.seed,
            secrets={one.path: one.secret for one in planned if one.secret},
            keep_values=True,
            port=self._endpoint.port,
        )

    def _register(
        self,
        planned: Sequence[PlannedSubscription],
        receiver: ReceiverProcesses,
        facts: RunFacts,
        exits: ExitStack,
    ) -> None:
        """Register all subscriptions; they are deleted at the end of the run."""
        api = SubscriptionApi(self._target.api_url, self._target.api_key, trust_environment=not self._target.own)
        registrations = exits.enter_context(Registrations(api, self._display))
        facts.subscriptions.extend(registrations.register(planned, self._endpoint.url or receiver.url))
