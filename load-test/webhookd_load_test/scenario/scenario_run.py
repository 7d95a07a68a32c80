"""One run of a scenario: prepares it, publishes, waits until everything is committed, and keeps the facts.

prepare     records.csv, topics, headroom, webhookd, receiver, subscriptions
load        publisher, timeline, sampler
drain       until every group has committed everything, or the bound of the scenario
end         receiver, facts; subscriptions are deleted

Whatever ends it early, the facts are kept, so that what there is can be compared.
"""

import threading
import time
from contextlib import ExitStack

from stack.signals import Interrupted
from webhookd_load_test.cluster.timeline_thread import Timeline
from webhookd_load_test.group_offsets import GroupOffsets, behind, total_lag
from webhookd_load_test.receiver.receiver_processes import ReceiverProcesses
from webhookd_load_test.records.publisher import Publisher
from webhookd_load_test.run_folder import facts, samples
from webhookd_load_test.run_folder.facts import Event, RunFacts
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.units import NS_PER_S
from webhookd_load_test.scenario import flatness, machine
from webhookd_load_test.scenario.preparation import Preparation
from webhookd_load_test.scenario.run_display import RunDisplay
from webhookd_load_test.scenario.sampler import Sampler
from webhookd_load_test.scenario.scenario_file import Scenario, as_text
from webhookd_load_test.scenario.target import Target

BEGINS_AFTER_S = 1.0
"""From the last preparation to the first record: all parts learn of the moment before it."""

SURVEY_S = 5e-6
"""For each record: the publisher reads the whole file before the load begins."""

DRAIN_POLL_S = 0.5


class ScenarioRun:
    """One run; use it once, on the main thread. The target runs from before to after it."""

    def __init__(self, scenario: Scenario, folder: RunFolder, target: Target, display: RunDisplay) -> None:
        self._scenario = scenario
        self._folder = folder
        self._target = target
        self._display = display
        self.facts = RunFacts(
            scenario=scenario.name,
            summary=scenario.summary,
            began_ns=time.time_ns(),
            settings=as_text(scenario),
            machine=machine.machine(),
        )

    def run(self, preparation: Preparation) -> None:
        """Run it, and write the facts whatever happens. Raises what ended it early."""
        try:
            with ExitStack() as exits:
                receiver = preparation.prepare(self.facts, exits)
                self._load(receiver, exits)
            self.facts.complete = not self.facts.reason
        except BaseException as error:
            self.facts.reason = "interrupted" if isinstance(error, Interrupted) else str(error) or type(error).__name__
            raise
        finally:
            self._keep_facts()

    def _load(self, receiver: ReceiverProcesses, exits: ExitStack) -> None:
        """Publish, perform the timeline and wait until all is committed."""
        begins_after_s = BEGINS_AFTER_S + SURVEY_S * self._scenario.load.rows
        began_ns = self.facts.began_ns = time.time_ns() + int(begins_after_s * NS_PER_S)
        receiver.begin(began_ns)
        offsets = GroupOffsets(self._target.kafka, self.facts.partitions)
        exits.callback(offsets.close)
        offsets.begins = offsets.ends()
        publisher = Publisher(
            csv=self._folder.records,
            published=self._folder.published,
            kafka=self._target.kafka,
            begin_ns=began_ns,
        )
        stopping = threading.Event()
        exits.enter_context(self._sampler(receiver, publisher, exits, offsets, stopping))
        timeline = self._timeline()
        exits.callback(self._end_timeline, timeline)
        timeline.begin(began_ns)
        summary = publisher.run(stopping)
        if summary.failure:
            self.facts.reason = f"the producer ended: {summary.failure}"
        self.facts.published_ns = time.time_ns()
        if stopping.is_set():  # the end of the sampler's context raises why
            return
        self._note("everything is published")
        timeline.finish()
        self._drain(offsets, stopping)

    def _timeline(self) -> Timeline:
        stopping = threading.Event()
        actions = self._target.actions(list(self.facts.partitions), stopping)
        return Timeline(
            self._scenario.timeline, actions, stopping=stopping, tell=lambda event: self._display.say(event.text)
        )

    def _sampler(
        self,
        receiver: ReceiverProcesses,
        publisher: Publisher,
        exits: ExitStack,
        begun: GroupOffsets,
        stopping: threading.Event,
    ) -> Sampler:
        """The sampler; an error of it stops the load."""
        ids = [one.id for one in self.facts.subscriptions]
        offsets = GroupOffsets(self._target.kafka, self.facts.partitions)
        offsets.begins = begun.begins
        exits.callback(offsets.close)
        return Sampler(
            self._folder.samples,
            processes=self._target.processes,
            published=lambda: publisher.acknowledged,
            received=lambda: receiver.counts().records,
            lag=lambda: total_lag(offsets, ids),
            seen=self._display.show_sample,
            failed=stopping.set,
        )

    def _drain(self, offsets: GroupOffsets, stopping: threading.Event) -> None:
        """Wait until every group has committed everything; says so when the bound ends first."""
        since_s = (time.time_ns() - self.facts.published_ns) / NS_PER_S
        deadline = time.monotonic() + self._scenario.bounds.drain_s - since_s
        waiting = dict.fromkeys((one.id for one in self.facts.subscriptions), "")
        while (waiting := behind(offsets, waiting)) and time.monotonic() < deadline:
            if stopping.wait(DRAIN_POLL_S):
                return
        waiting = waiting and behind(offsets, waiting)  # a round over a thousand groups takes most of a minute
        if waiting:
            id_, why = next(iter(waiting.items()))
            self.facts.undrained = (
                f"{len(waiting)} of {len(self.facts.subscriptions)} subscriptions had not committed everything "
                f"{self._scenario.bounds.drain_s:g} s after the last record; {id_}: {why}"
            )
        self._note(self.facts.undrained or "everything is committed")

    def _end_timeline(self, timeline: Timeline) -> None:
        timeline.stop()
        self.facts.events = sorted([*self.facts.events, *timeline.events], key=lambda event: event.at_ns)

    def _note(self, text: str) -> None:
        self.facts.events.append(Event(at_ns=time.time_ns(), kind="run", text=text))
        self._display.say(text)

    def _keep_facts(self) -> None:
        self.facts.ended_ns = time.time_ns()
        self.facts.versions = {**machine.versions(), **self._target.versions()}
        if self._scenario.bounds.flat_memory and self._folder.samples.exists():
            until_ns = self.facts.published_ns or self.facts.ended_ns
            loaded = [one for one in samples.read(self._folder.samples) if one.at_ns <= until_ns]
            self.facts.flat = flatness.growth(loaded)
        facts.write(self._folder.facts, self.facts)
