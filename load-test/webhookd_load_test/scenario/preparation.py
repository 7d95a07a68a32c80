"""Prepares a run: its records, topics, headroom, receiver and subscriptions."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from command.api_client import ManagementClient
from webhookd_load_test.receiver import headroom as receiver_headroom
from webhookd_load_test.receiver.receiver_processes import ReceiverProcesses
from webhookd_load_test.records import csv_writer, topics
from webhookd_load_test.records import headroom as producer_headroom
from webhookd_load_test.records.generate import Record, generate
from webhookd_load_test.run_folder.facts import Headroom, RunFacts
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.scenario import needed_rate, planned_subscription
from webhookd_load_test.scenario.planned_subscription import PlannedSubscription
from webhookd_load_test.scenario.run_display import RunDisplay
from webhookd_load_test.scenario.scenario_file import Scenario
from webhookd_load_test.scenario.target import Target

MILLISECONDS = 1000
HEADROOM_TOPIC = "load-test-headroom"


class Preparation:
    """What happens before the load. `receiver_url` is where webhookd reaches the receiver, if not at its own URL."""

    def __init__(
        self,
        scenario: Scenario,
        folder: RunFolder,
        target: Target,
        display: RunDisplay,
        *,
        headroom: bool = True,
        receiver_url: str = "",
    ) -> None:
        self._scenario = scenario
        self._folder = folder
        self._target = target
        self._display = display
        self._headroom = headroom
        self._receiver_url = receiver_url

    def prepare(self, facts: RunFacts, exits: ExitStack) -> ReceiverProcesses:
        """Prepare everything; returns the receiver, which runs until `exits` ends it. Subscriptions end with it too."""
        scenario, load = self._scenario, self._scenario.load
        names = [f"load-test-{scenario.name}-{number}" for number in range(load.topics)]
        planned = planned_subscription.plan(scenario, names)
        self._display.say(f"generating {load.rows:,} records of {load.payload_bytes} bytes")
        csv_writer.write(self._folder.records, self._records(names))
        self._display.say(f"creating {load.topics} topics of {load.partitions} partitions")
        partitions = dict.fromkeys(names, load.partitions)
        topics.create_topics(self._target.kafka, partitions, self._target.replication_factor)
        facts.partitions = partitions
        if self._headroom:
            facts.headroom = self._measured(planned)
        self._display.say("starting webhookd")
        self._target.start_webhookd()
        receiver = exits.enter_context(self._receiver(planned))
        self._register(planned, receiver, facts, exits)
        return receiver

    def _records(self, topics: Sequence[str]) -> Iterator[Record]:
        load = self._scenario.load
        return generate(
            rows=load.rows,
            duration_ms=round(load.duration_s * MILLISECONDS),
            topics=topics,
            payload_bytes=load.payload_bytes,
            keys=load.keys,
            skew=load.skew,
            seed=load.seed,
        )

    def _measured(self, planned: Sequence[PlannedSubscription]) -> Headroom:
        """Measure producer and receiver alone, before webhookd runs. The topic is one that no subscription reads."""
        scenario = self._scenario
        self._display.say("measuring the producer and the receiver alone")
        topics.create_topics(
            self._target.kafka, {HEADROOM_TOPIC: scenario.load.partitions}, self._target.replication_factor
        )
        needed = needed_rate.needed(scenario.load, self._folder.records, planned)
        batch = min(group.batch for group in scenario.subscriptions)
        return Headroom(
            producer_per_s=producer_headroom.measure(self._target.kafka, HEADROOM_TOPIC, scenario.load.payload_bytes),
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
            faults=planned_subscription.faults(self._scenario),
            seed=self._scenario.load.seed,
            secrets={one.path: one.secret for one in planned if one.secret},
            keep_values=True,
        )

    def _register(
        self,
        planned: Sequence[PlannedSubscription],
        receiver: ReceiverProcesses,
        facts: RunFacts,
        exits: ExitStack,
    ) -> None:
        """Register all subscriptions; each is deleted at the end of the run."""
        client = ManagementClient(self._target.api_url, self._target.api_key)
        exits.callback(client.close)
        url = self._receiver_url or receiver.url
        for one in self._display.progress(planned, "registering subscriptions"):
            created = client.register(one.document(url))
            facts.subscriptions.append(one.registered(created["id"]))
            exits.callback(client.remove, created["id"])
