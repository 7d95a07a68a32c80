"""`webhookd-load-test run`: a whole scenario, on a stack of its own or on one that is already there."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from command.kafka_options import kafka_options
from stack.errors import ChangeRefused, NotChanged, NotStarted
from stack.signals import Interrupted, raise_on_signals
from webhookd.errors import WebhookdError
from webhookd.kafka_properties import KafkaProperties
from webhookd_load_test.cluster import timeline_check
from webhookd_load_test.cluster.timeline_check import UnusableTimelineError
from webhookd_load_test.cluster.timeline_thread import TimelineFailed
from webhookd_load_test.group_offsets import KafkaSilentError
from webhookd_load_test.receiver.receiver_child import ReceiverFailedError
from webhookd_load_test.records.csv_file import UnusableCsvError
from webhookd_load_test.records.duration import Duration
from webhookd_load_test.records.headroom import NotMeasuredError
from webhookd_load_test.records.published_file import UnusablePublishedError
from webhookd_load_test.records.topics import TopicsNotCreatedError
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.scenario import scenario_file
from webhookd_load_test.scenario.conclusion import conclude
from webhookd_load_test.scenario.own_stack import OwnStack
from webhookd_load_test.scenario.preparation import Preparation, ReceiverAddress
from webhookd_load_test.scenario.run_display import RunDisplay
from webhookd_load_test.scenario.running_stack import Existing, UnusableTargetError, refuse_steps
from webhookd_load_test.scenario.scenario_file import Scenario, Stack, UnusableScenarioError
from webhookd_load_test.scenario.scenario_run import ScenarioRun
from webhookd_load_test.scenario.target import Target

RUNS = Path(".state", "load-test")
"""Where runs are kept, each in a folder with the name of its scenario."""

MILLISECONDS = 1000
KNOWN = (
    ChangeRefused,
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


@click.command()
@click.argument("scenario", default="seed")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the run is kept; an earlier run there is deleted.",
)
@click.option("--duration", type=Duration(), help="How long it publishes, at the scenario's rate: 20m, 1h30m.")
@click.option("--api", metavar="URL", help="Run against a running webhookd, through its API at this URL.")
@click.option(
    "--key", envvar="WEBHOOKD_API_KEY", default="", help="An API key. Other users can read it: use WEBHOOKD_API_KEY."
)
@click.option("--bootstrap-servers", metavar="HOST:PORT,…", help="The Kafka of that webhookd.")
@kafka_options
@click.option("--receiver-url", default="", help="Where webhookd reaches the receiver, if not on loopback.")
@click.option(
    "--receiver-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="The receiver's port on 127.0.0.1; a free one if not given.",
)
@click.option("--no-headroom", is_flag=True, help="Do not measure how fast producer and receiver are alone.")
def run(  # noqa: PLR0913 - one for each option
    *,
    scenario: str,
    folder: Path | None,
    duration: int | None,
    api: str | None,
    key: str,
    bootstrap_servers: str | None,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
    receiver_url: str,
    receiver_port: int,
    no_headroom: bool,
) -> None:
    """Run SCENARIO, and say whether everything arrived.

    SCENARIO is the name of a scenario, such as burst or noisy-neighbour, or a file; seed if not given.

    Without --api it starts Kafka, Redis, Postgres and webhookd of its own, and stops them at the end.

    It leaves report.html, result.json and everything that was published and received in a folder, .state/load-test/
    and the scenario's name if not given. The exit code is 0 when nothing was lost and no bound was missed, else 1.
    """
    chosen = _scenario(scenario, None if duration is None else duration / MILLISECONDS)
    if api is not None and bootstrap_servers is None:
        raise click.UsageError("--api needs --bootstrap-servers: the Kafka that this webhookd reads")
    if api is None and (bootstrap_servers or kafka_config or kafka_config_file or receiver_url):
        raise click.UsageError("--bootstrap-servers needs --api, as --kafka-config and --receiver-url do")
    existing = None
    if api is not None and bootstrap_servers is not None:
        existing = Existing(
            api=api,
            key=key,
            bootstrap_servers=bootstrap_servers,
            kafka_config=kafka_config,
            kafka_config_file=kafka_config_file,
        )
    run_folder = _emptied(folder or RUNS / chosen.name)
    endpoint = ReceiverAddress(port=receiver_port, url=receiver_url)
    sys.exit(_run(chosen, run_folder, existing, endpoint, headroom=not no_headroom))


def _run(
    scenario: Scenario, folder: RunFolder, existing: Existing | None, endpoint: ReceiverAddress, *, headroom: bool
) -> int:
    """Run, compare and report; returns the exit code."""
    raise_on_signals()
    interrupted = 0
    with RunDisplay(scenario.load.rows) as display:
        try:
            if existing is not None and scenario.stack != Stack(receivers=scenario.stack.receivers):
                display.say("not used: what the scenario says of [stack], since this stack is there already")
            with _target(scenario, folder, existing) as target:
                preparation = Preparation(scenario, folder, target, display, headroom=headroom, endpoint=endpoint)
                ScenarioRun(scenario, folder, target, display).run(preparation)
        except Interrupted as signal:
            interrupted = signal.exit_code
        except KNOWN as error:
            display.say(f"the run ended early: {error}")
        code = conclude(folder, scenario.bounds, display)
    return interrupted or code


@contextmanager
def _target(scenario: Scenario, folder: RunFolder, existing: Existing | None) -> Iterator[Target]:
    """What the scenario runs against."""
    if existing is not None:
        refuse_steps(scenario.timeline)
        yield existing.target()
        return
    with OwnStack(scenario.stack, folder) as own:
        yield own


def _scenario(name: str, duration_s: float | None) -> Scenario:
    try:
        chosen = scenario_file.read(scenario_file.find(name))
        timeline_check.check(
            chosen.timeline, brokers=chosen.stack.brokers, ingest=chosen.stack.ingest, workers=chosen.stack.workers
        )
    except (UnusableScenarioError, UnusableTimelineError) as error:
        raise click.ClickException(str(error)) from None
    return chosen if duration_s is None else scenario_file.lasting(chosen, duration_s)


def _emptied(path: Path) -> RunFolder:
    """The folder, without the run that it had. A folder with other files is refused."""
    folder = RunFolder(path)
    if others := folder.others():
        raise click.ClickException(
            f"{path} has other files than those of a run, such as {others[0]}: name another --folder"
        )
    folder.empty()
    folder.logs.mkdir()
    return folder
