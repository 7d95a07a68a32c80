"""A whole run: a folder of its own, a target, the load, the comparison and the report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from confluent_kafka import KafkaException

from stack.errors import ChangeRefused, NotChanged, NotStarted
from stack.signals import Interrupted, raise_on_signals
from stack.single_owner import owned
from webhookd.errors import WebhookdError
from webhookd_load_test.cluster.timeline_thread import TimelineFailed
from webhookd_load_test.group_offsets import KafkaSilentError
from webhookd_load_test.receiver.receiver_child import ReceiverFailedError
from webhookd_load_test.records.csv_file import UnusableCsvError
from webhookd_load_test.records.headroom import NotMeasuredError
from webhookd_load_test.records.published_file import UnusablePublishedError
from webhookd_load_test.records.topics import TopicsNotCreatedError
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.scenario.conclusion import conclude
from webhookd_load_test.scenario.own_stack import OwnStack
from webhookd_load_test.scenario.preparation import Preparation, ReceiverAddress
from webhookd_load_test.scenario.run_display import RunDisplay
from webhookd_load_test.scenario.running_stack import Existing, UnusableTargetError
from webhookd_load_test.scenario.scenario_file import Scenario, Stack
from webhookd_load_test.scenario.scenario_run import ScenarioRun
from webhookd_load_test.scenario.subscription_api import ApiError
from webhookd_load_test.scenario.target import Target

KNOWN = (
    ApiError,
    ChangeRefused,
    KafkaException,
    KafkaSilentError,
    NotChanged,
    NotMeasuredError,
    NotStarted,
    OSError,
    ReceiverFailedError,
    TimelineFailed,
    TopicsNotCreatedError,
    UnusableCsvError,
    UnusablePublishedError,
    UnusableTargetError,
    WebhookdError,
)
"""What can end a run early without a fault of the load test: each message says what to change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeRun:
    """What to run, on what, and where it is kept. Without `existing` it gets a stack of its own."""

    scenario: Scenario
    folder: RunFolder
    existing: Existing | None
    endpoint: ReceiverAddress
    headroom: bool

    def exit_code(self) -> int:
        """Run, compare and report; blocks. Returns 0 when the run has passed, 128 + n after a signal, else 1.

        The first signal ends the run, with a report of what there is; later ones are ignored.
        """
        raise_on_signals()
        file, message = self.folder.owner, f"another run uses {self.folder.path} (process {{pid}})"
        with RunDisplay(self.scenario.load.rows) as display:
            try:
                with owned(file, message):
                    return self._as_owner(display)
            except NotStarted as taken:
                display.say(str(taken))
                return 1
            except Interrupted as signal:  # while comparing: a signal before that is caught below
                display.say(f"not compared: `webhookd-load-test compare {self.folder.path}` does it")
                return signal.exit_code

    def _as_owner(self, display: RunDisplay) -> int:
        interrupted, begun = 0, False
        try:
            with self._target(display) as target:
                begun = True
                self.folder.empty()
                self.folder.logs.mkdir()
                self._run(target, display)
        except Interrupted as signal:
            interrupted = signal.exit_code
        except KNOWN as error:
            display.say(f"the run ended early: {error}")
        code = conclude(self.folder, self.scenario.bounds, display) if begun else 1
        return interrupted or code

    def _run(self, target: Target, display: RunDisplay) -> None:
        preparation = Preparation(
            self.scenario, self.folder, target, display, headroom=self.headroom, endpoint=self.endpoint
        )
        ScenarioRun(self.scenario, self.folder, target, display).run(preparation)

    @contextmanager
    def _target(self, display: RunDisplay) -> Iterator[Target]:
        """What the scenario runs against."""
        if self.existing is None:
            with OwnStack(self.scenario.stack, self.folder) as own:
                yield own
            return
        if self.scenario.stack != Stack(receivers=self.scenario.stack.receivers):
            display.say("not used: what the scenario says of [stack], since this stack is there already")
        yield self.existing.target()
