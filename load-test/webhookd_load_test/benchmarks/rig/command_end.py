"""How a benchmark's command ends: with an exit code and at most one line, whatever stops it."""

import sys
from collections.abc import Callable
from typing import NoReturn

import click

from stack.errors import NotStarted
from stack.signals import Interrupted, raise_on_signals


def end_with(measure: Callable[[], int]) -> NoReturn:
    """Run a benchmark, and end the process with the exit code that it returns. Use it on the main thread.

    Ctrl-C, SIGTERM and SIGHUP leave the benchmark as an exception, so that it stops what it has started, and end the
    process with 128 + the signal's number. A service that cannot be started is one line, and exit code 1.
    """
    raise_on_signals()
    try:
        code = measure()
    except NotStarted as reason:
        click.echo(str(reason), err=True)
        code = 1
    except Interrupted as interrupted:
        code = interrupted.exit_code
    sys.exit(code)
