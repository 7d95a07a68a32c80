"""`webhookd-load-test run`: a whole scenario, on a stack of its own or on one that is already there."""

import sys
from pathlib import Path

import click

from command.kafka_options import kafka_options
from webhookd.kafka_properties import KafkaProperties
from webhookd_load_test.cluster import timeline_check
from webhookd_load_test.cluster.timeline_check import UnusableTimelineError
from webhookd_load_test.records.duration import Duration
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.run_folder.units import MS_PER_S
from webhookd_load_test.scenario import scenario_file
from webhookd_load_test.scenario.preparation import ReceiverAddress
from webhookd_load_test.scenario.running_stack import Existing, UnusableTargetError, refuse_steps
from webhookd_load_test.scenario.scenario_file import Scenario, UnusableScenarioError
from webhookd_load_test.scenario.whole_run import WholeRun

RUNS = Path(".state", "load-test")
"""Where runs are kept, each in a folder with the name of its scenario."""


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
    chosen = _scenario(scenario, None if duration is None else duration / MS_PER_S)
    if api is not None and bootstrap_servers is None:
        raise click.UsageError("--api needs --bootstrap-servers: the Kafka that this webhookd reads")
    if api is None and (bootstrap_servers or kafka_config or kafka_config_file or receiver_url):
        raise click.UsageError("--bootstrap-servers needs --api, as --kafka-config and --receiver-url do")
    if bool(receiver_url) != bool(receiver_port):
        raise click.UsageError("--receiver-url and --receiver-port need each other: the URL has to lead to the port")
    existing = None
    if api is not None:
        _refuse_timeline(chosen)
    if api is not None and bootstrap_servers is not None:
        existing = Existing(
            api=api,
            key=key,
            bootstrap_servers=bootstrap_servers,
            kafka_config=kafka_config,
            kafka_config_file=kafka_config_file,
        )
    whole = WholeRun(
        scenario=chosen,
        folder=_usable(folder or RUNS / chosen.name),
        existing=existing,
        endpoint=ReceiverAddress(port=receiver_port, url=receiver_url),
        headroom=not no_headroom,
    )
    sys.exit(whole.exit_code())


def _refuse_timeline(scenario: Scenario) -> None:
    try:
        refuse_steps(scenario.timeline)
    except UnusableTargetError as error:
        raise click.ClickException(str(error)) from None


def _scenario(name: str, duration_s: float | None) -> Scenario:
    try:
        chosen = scenario_file.read(scenario_file.find(name))
        timeline_check.check(
            chosen.timeline, brokers=chosen.stack.brokers, ingest=chosen.stack.ingest, workers=chosen.stack.workers
        )
        return chosen if duration_s is None else scenario_file.lasting(chosen, duration_s)
    except (UnusableScenarioError, UnusableTimelineError) as error:
        raise click.ClickException(str(error)) from None


def _usable(path: Path) -> RunFolder:
    """The folder of the run. One with other files is refused."""
    folder = RunFolder(path)
    if others := folder.others():
        raise click.ClickException(
            f"{path} has other files than those of a run, such as {others[0]}: name another --folder"
        )
    return folder
