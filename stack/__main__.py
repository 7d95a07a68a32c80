"""The command line: `python -m stack up [--brokers 3] [--detach]`, `down`, `service`, `play`, `setup`, `run -- …`."""

import argparse
import sys
from pathlib import Path

from stack import command_run, dev_stack, preparation, procfile
from stack.play import session


def main() -> int:
    """Run the command in the arguments; returns the exit code."""
    arguments = _parser().parse_args()
    match arguments.action:
        case "up" if arguments.detach:
            return dev_stack.up_detached(arguments.brokers)
        case "up":
            return dev_stack.up(arguments.brokers)
        case "down":
            return dev_stack.down()
        case "service":
            return procfile.run()
        case "play":
            return session.run(arguments.state)
        case "setup":
            return preparation.run()
        case _:
            return command_run.run(arguments.command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    up = actions.add_parser("up", help="start Kafka, Redis and Postgres on well-known ports, with empty data")
    up.add_argument("--brokers", type=int, choices=(1, 3), default=1, help="Kafka brokers")
    up.add_argument("--detach", action="store_true", help="return when all services answer")
    actions.add_parser("down", help="stop what `up` has started")
    actions.add_parser("service", help="run the Procfile's processes in this terminal until Ctrl-C")
    play = actions.add_parser(
        "play", help="start services, webhookd, an endpoint and a mail server, and deliver orders"
    )
    play.add_argument(
        "--state", type=Path, default=Path(".state", "play"), help="a folder that one play at a time owns"
    )
    actions.add_parser("setup", help="install and fetch what the load test's services need, and say what was there")
    run = actions.add_parser("run", help="start services, run a command, and stop the services when it ends")
    run.add_argument("command", nargs="+", help="the command, after --")
    return parser


if __name__ == "__main__":
    sys.exit(main())
