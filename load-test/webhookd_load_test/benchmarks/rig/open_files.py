"""How many files the processes of a benchmark may have open."""

import resource

import click

FILES_EACH = 20
"""Open files of one subscription's consumer: three connections, and the descriptors that wake its threads."""


def allow_files(subscriptions: int) -> None:
    """Allow this process, and those that it starts, as many as it can; says so when that may be too few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < subscriptions * FILES_EACH:
        click.echo(f"only {most} open files are allowed (ulimit -Hn); {subscriptions * FILES_EACH} may be needed")
