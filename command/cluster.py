"""`webhookd cluster`: shows which Kafka cluster is recorded in the database, and removes the record."""

import click

from command.loading import load_settings
from webhookd.edges.kafka_connection import KafkaConnection
from webhookd.edges.kafka_reachability import KafkaProbe
from webhookd.errors import KafkaAuthenticationFailed, KafkaUnavailable, StoreUnavailable
from webhookd.store import kafka_cluster, schema
from webhookd.store.database import Database

ASK_S = 5.0


@click.command()
@click.option(
    "--forget",
    is_flag=True,
    help="Remove the record; the next process that reaches Kafka records its cluster. Stop all processes first.",
)
def cluster(*, forget: bool) -> None:
    """Show the Kafka cluster that the database belongs to, and the one that the brokers form.

    The first ingest or API process that reaches Kafka records the cluster's id. Every process refuses to work with
    brokers of another cluster, because topics with the same names have other records and offsets there. To move to
    another cluster, stop all webhookd processes, run this with --forget, and start them with the new
    WEBHOOKD_KAFKA_BOOTSTRAP_SERVERS.
    """
    settings = load_settings()
    kafka = KafkaConnection.of(settings)
    database = Database(settings.database_url)
    try:
        schema.confirm(database)
        with database.transaction() as session:
            recorded = kafka_cluster.recorded(session)
            if forget:
                kafka_cluster.forget(session)
    except StoreUnavailable as error:
        raise click.ClickException(f"the database cannot be read: {error.detail}") from None
    finally:
        database.close()
    if forget:
        click.echo(f"forgotten: {recorded or '(none was recorded)'}")
        return
    click.echo(f"recorded: {recorded or '(none yet)'}")
    click.echo(f"found at {settings.kafka_bootstrap_servers}: {_found(kafka)}")


def _found(kafka: KafkaConnection) -> str:
    """Return the cluster's id. Raises ClickException when Kafka does not answer."""
    try:
        return KafkaProbe(kafka).cluster_id(ASK_S) or "(a cluster without an id)"
    except KafkaAuthenticationFailed as error:
        raise click.ClickException(f"{error.code}: Kafka refuses the connection: {error.detail}") from None
    except KafkaUnavailable as error:
        raise click.ClickException(f"no Kafka answers at {kafka.bootstrap_servers}: {error.detail}") from None
