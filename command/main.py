"""`webhookd`: the commands, and what they have in common."""

import click

from command.serving import api, flower, ingest, migrate, worker
from webhookd import __version__


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="webhookd")
def main() -> None:
    r"""Deliver Kafka topics to HTTP endpoints: at least once, in partition order.

    \b
    Try it:        webhookd demo                      needs nothing but Python
    One endpoint:  webhookd run --bootstrap-servers … --topic … --url …
    A service:     webhookd migrate, then api, ingest, worker --queue first, worker --queue retry, flower

    The service's processes read their settings from WEBHOOKD_… environment variables; `webhookd settings` lists them.
    """


for command in (api, flower, ingest, migrate, worker):
    main.add_command(command)

if __name__ == "__main__":
    main()
