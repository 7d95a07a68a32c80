"""`webhookd run`: one subscription on an existing Kafka, with all of webhookd in this one process.

check       the URL's address, the networks, Kafka               on error one line and exit code 2 or 1
lock        the state directory                                  one process at a time
register    create or change the subscription over the API       no record that is produced after this is missed
run         until SIGINT or SIGTERM                              then deliveries in flight are settled and committed
"""

import sys
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import click

from command.api_client import ManagementClient
from command.cluster_probe import ClusterInfo, probe_cluster
from command.embedded import BIND, EmbeddedService
from command.kafka_options import kafka_change, kafka_options, kafka_sources
from command.loading import load_settings
from command.open_files import raise_open_file_limit
from command.progress import Progress
from command.run_subscription import RunOptions, check, nearest_topic, register
from command.shutdown_signals import SECOND_SIGNAL, ShutdownSignals
from command.state_directory import StateDirectory
from command.switch_interval import set_switch_interval
from webhookd import logs
from webhookd.debug_signal import DebugSignal
from webhookd.edges.http_client.dns_resolver import resolve
from webhookd.edges.http_client.egress_guard import egress_policy, proxy_judges_names
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.errors import InvalidInput, QueueUnavailable, UnusableSetting, WebhookdError
from webhookd.flow.attempt.egress_policy import parse_networks
from webhookd.flow.attempt.host_address import address_of
from webhookd.flow.attempt.target import Target, check_url
from webhookd.flow.subscription import OnFilterError
from webhookd.kafka_properties import KafkaProperties
from webhookd.settings import Settings

DRAIN_S = 20.0
PROGRESS_S = 1.0

_log = logs.get(__name__)


@click.command()
@click.option("--bootstrap-servers", required=True, metavar="HOST:PORT[,…]", help="The Kafka brokers.")
@kafka_options
@click.option("--topic", "topics", required=True, multiple=True, help="A topic to read; repeat it for more.")
@click.option("--url", required=True, help="The endpoint that the records are posted to.")
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="JMESPATH",
    help="Deliver only records for which all filters hold; repeat it for more.",
)
@click.option(
    "--on-filter-error",
    type=click.Choice([policy.value for policy in OnFilterError]),
    default=OnFilterError.DEAD_LETTER.value,
    show_default=True,
    help="What happens to a record when a filter raises an error on its types.",
)
@click.option(
    "--batch-size", type=click.IntRange(1, 1000), default=1, show_default=True, help="Records in a request, at most."
)
@click.option(
    "--batch-interval",
    type=click.IntRange(1, 300),
    default=1,
    show_default=True,
    help="How many seconds a record waits for others, at most.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="A header that is sent with every request; repeat it for more.",
)
@click.option(
    "--signing-secret",
    metavar="SECRET",
    help="Sign every request with this secret: whsec_… (HMAC-SHA256) or whsk_… (Ed25519).",
)
@click.option(
    "--from",
    "start",
    type=click.Choice(["earliest", "latest"]),
    help="Where to begin in a topic that was not read before; latest if not given.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("webhookd-state"),
    show_default=True,
    help="The directory of this command's state; created if missing. One process at a time uses it.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="NETWORK",
    help="A network (CIDR) outside the internet that the URL may lead to; repeat it for more.",
)
def run(
    allow: tuple[str, ...],
    state: Path,
    bootstrap_servers: str,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
    **options: object,
) -> None:
    """Deliver topics of your Kafka to one URL, from this one process.

    Its position is kept in Kafka, as the committed offsets of a consumer group; the state directory holds the name of
    the group. It may be stopped and started again, with the same options or with others, and continues at that
    position. Records are delivered at least once, in the order of their partition.

    Ctrl-C or SIGTERM ends it when the requests in flight have ended. It exits with 2 when an option is wrong, and with
    1 when Kafka cannot be reached or refuses the login, or another process uses the same state. WEBHOOKD_… settings
    apply.
    """
    shutdown = ShutdownSignals()
    set_switch_interval()
    try:
        settings = _settings(bootstrap_servers, allow, state, kafka_config, kafka_config_file)
        _run(RunOptions.of(options), settings, state, shutdown)
    except UnusableSetting:
        raise
    except WebhookdError as error:
        shutdown.exit_process(_exit_code(error, shutdown))
    shutdown.exit_process(0)


def _exit_code(error: WebhookdError, shutdown: ShutdownSignals) -> int:
    """Print the error; after a signal it is of no interest."""
    if shutdown.received:
        return 0
    if isinstance(error, InvalidInput):
        click.echo(f"webhookd run: {error.field or 'error'}: {error}", err=True)
        return 2
    click.echo(f"webhookd run: {error}", err=True)
    return 1


def _run(options: RunOptions, settings: Settings, state: Path, shutdown: ShutdownSignals) -> None:
    # Before the log is configured: these errors are plain lines, also when stderr is not a terminal.
    check(options)
    _check_address(options.url, settings)
    on_terminal = sys.stdout.isatty()
    level = settings.log_level if "log_level" in settings.model_fields_set or not on_terminal else "warning"
    logs.configure_process(settings.log_format, level, modules=settings.log_levels, prints=True)
    DebugSignal(settings.log_debug_s).install()
    raise_open_file_limit()
    cluster = probe_cluster(KafkaConnection.of(settings))
    with ExitStack() as exits:
        directory = exits.enter_context(StateDirectory(state))
        directory.bind_to_cluster(cluster.id)
        settings = directory.with_secret_key(settings)
        service = EmbeddedService(settings)
        exits.callback(service.stop, DRAIN_S)
        api = ManagementClient(service.api_url, settings.api_key.get_secret_value())
        exits.callback(api.close)
        registered = register(api, options)
        for warning in registered.warnings:
            click.echo(f"webhookd run: warning: {warning}", err=True)
        if options.start is not None:
            _print_read_before(options, registered.known_topics & cluster.topics, state)
        service.start()
        _print_start(options, cluster, f"{service.api_url}/1/Subscription/{registered.id}/Status")
        _run_until_signal(service, Progress(api, registered.id, shown=on_terminal), shutdown)
        if on_terminal:
            click.echo("stopping after the requests in progress; a second signal ends at once")
        _log.info("stopping", process="run", budget_s=DRAIN_S, note=SECOND_SIGNAL)
    _log.info("stopped", process="run")


def _run_until_signal(service: EmbeddedService, progress: Progress, shutdown: ShutdownSignals) -> None:
    while not shutdown.wait(PROGRESS_S):
        if not service.alive:
            raise service.mismatch or QueueUnavailable("the worker has ended; see the log")
        progress.show()


def _settings(
    bootstrap_servers: str,
    allow: tuple[str, ...],
    state: Path,
    kafka_config: KafkaProperties,
    kafka_config_file: Path | None,
) -> Settings:
    """The settings from the environment and the options, with an in-memory queue and the state directory's database."""
    settings = load_settings(
        {"kafka_bootstrap_servers": "--bootstrap-servers"} | kafka_sources(kafka_config, kafka_config_file),
        kafka_change(kafka_config, kafka_config_file),
        kafka_bootstrap_servers=bootstrap_servers,
        redis_url="memory://",
        api_auth="none",
        api_bind=BIND,
        database_url=StateDirectory(state).database_url,
    )
    try:
        parse_networks(allow)
    except ValueError as error:
        raise InvalidInput(str(error), field="--allow") from error
    return settings.model_copy(update={"egress_allow": (*settings.egress_allow, *allow)})


def _check_address(url: str, settings: Settings) -> None:
    """Raises InvalidInput if the egress policy would refuse every request to this URL.

    A name that cannot be resolved now is accepted, since it may be resolved later; likewise one that the egress proxy
    resolves and judges.
    """
    try:
        check_url(url)
    except InvalidInput as error:
        raise InvalidInput(str(error), field="--url") from error
    target, policy = Target.parse(url), egress_policy(settings)
    rule = policy.url_rule(target)
    if rule is not None:
        raise InvalidInput(f"the rule {rule} of the settings WEBHOOKD_EGRESS_… refuses it", field="--url")
    if proxy_judges_names(settings) and address_of(target.host) is None:
        return
    try:
        addresses = [ip_address(found) for found in resolve(target.host, target.port)]
    except OSError as error:
        click.echo(f"webhookd run: {target.host} cannot be resolved at the moment: {error}", err=True)
        return
    reasons = [policy.address_rule(address) for address in addresses]
    if reasons and all(reasons):
        where = f"{addresses[0]} is not on the public internet ({reasons[0]})"
        raise InvalidInput(f"{where}: allow it with --allow {addresses[0]}", field="--url")


def _print_read_before(options: RunOptions, read_before: AbstractSet[str], state: Path) -> None:
    for topic in options.topics:
        if topic in read_before:
            click.echo(
                f"webhookd run: topic {topic} was read before with --state {state}: it goes on at the committed "
                f"position, and --from {options.start} has no effect; another --state starts over",
                err=True,
            )


def _print_start(options: RunOptions, cluster: ClusterInfo, status_url: str) -> None:
    for topic in options.topics:
        if topic not in cluster.topics:
            near = nearest_topic(topic, cluster.topics)
            meant = f"; did you mean {near}?" if near else ""
            click.echo(f"topic {topic} does not exist yet; it is read as soon as it exists{meant}")
    click.echo(f"delivering {', '.join(options.topics)} to {options.url}; status: {status_url}")
