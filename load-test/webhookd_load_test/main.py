"""The command `webhookd-load-test`: the group of all commands."""

from importlib import import_module
from pathlib import Path

import click

from command.help_text import HelpGroup, summary_in_source
from command.shutdown_signals import quiet_interrupt

PACKAGES = Path(__file__).resolve().parents[1]

MODULES = {
    "csv-generate": "webhookd_load_test.records.generate_command",
    "csv-publish": "webhookd_load_test.records.publish_command",
    "receive": "webhookd_load_test.receiver.receive_command",
    "cluster": "webhookd_load_test.cluster.cluster_command",
    "compare": "webhookd_load_test.compare.compare_command",
    "report": "webhookd_load_test.report.report_command",
    "run": "webhookd_load_test.scenario.run_command",
    "bench": "webhookd_load_test.benchmarks.bench",
    "api-latency": "webhookd_load_test.benchmarks.api_latency",
    "fanout": "webhookd_load_test.benchmarks.fanout",
    "filter-cost": "webhookd_load_test.benchmarks.filter_cost",
    "idle": "webhookd_load_test.benchmarks.idle",
    "isolation": "webhookd_load_test.benchmarks.isolation",
    "million": "webhookd_load_test.benchmarks.million",
    "slow-down": "webhookd_load_test.benchmarks.slow_down",
    "takeover": "webhookd_load_test.benchmarks.takeover",
}
"""The module of each command. It defines the click command under the name of the command, with underscores."""


class Commands(HelpGroup):
    """Imports only the module of the command that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        del ctx
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of that name; None when there is none."""
        del ctx
        if cmd_name not in MODULES:
            return None
        with quiet_interrupt():
            found: click.Command = getattr(import_module(MODULES[cmd_name]), _function(cmd_name))
        return found

    def summary(self, ctx: click.Context, name: str) -> str:
        """Return the first sentence of the command's docstring, from the source: to import all takes seconds."""
        del ctx
        file = PACKAGES.joinpath(*MODULES[name].split(".")).with_suffix(".py")
        return summary_in_source(file, _function(name))


def _function(name: str) -> str:
    return name.replace("-", "_")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
def main() -> None:
    """Load tests and benchmarks of webhookd: publish, receive, compare, and say what it costs."""


if __name__ == "__main__":
    main()
