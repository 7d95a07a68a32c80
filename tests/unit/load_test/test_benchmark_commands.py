"""The benchmarks' commands: their help, what they refuse, and their exit codes.

Oracle: the exit code and the output. What is measured is a function of the test; nothing is started.
"""

import signal
from collections.abc import Callable, Iterator

import pytest
import requests
from click.testing import CliRunner

from stack.errors import NotStarted
from stack.signals import SIGNALS, Interrupted
from webhookd_load_test.benchmarks.rig.command_end import end_with
from webhookd_load_test.benchmarks.rig.log_folder import LOGS
from webhookd_load_test.main import MODULES, main

BENCHMARKS = [name for name, module in MODULES.items() if ".benchmarks." in module]


@pytest.fixture
def _own_handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raising(error: BaseException) -> Callable[[], int]:
    def measure() -> int:
        raise error

    return measure


@pytest.mark.parametrize("name", BENCHMARKS)
def test_command_says_what_it_measures(name: str) -> None:
    said = CliRunner().invoke(main, [name, "--help"])
    assert (said.exit_code, said.output.splitlines()[0].split()[:3]) == (0, ["Usage:", "main", name])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("bench", "batch-2"), "'batch-2' is not one of 'batch-1'"),
        (("bench", "--records", "0"), "'--records': 0 is not in the range"),
        (("bench", "--seconds", "0"), "'--seconds': 0.0 is not in the range"),
        (("fanout", "--subscriptions", "1"), "'--subscriptions': 1 is not in the range x>=2"),
        (("fanout", "inequality"), "'inequality' is not one of 'alone', 'equality', 'comparison'"),
        (("idle", "--subscriptions", "9"), "'--subscriptions': 9 is not in the range x>=10"),
        (("isolation", "all"), "'all' is not one of 'hang', 'start', 'held'"),
        (("takeover", "--rounds", "0"), "'--rounds': 0 is not in the range"),
    ],
)
def test_bad_input_is_refused_by_name(arguments: tuple[str, ...], reason: str) -> None:
    said = CliRunner().invoke(main, arguments)
    assert said.exit_code == 2
    assert reason in said.output


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(
    ("measure", "code"),
    [
        (lambda: 0, 0),
        (lambda: 1, 1),
        (raising(Interrupted(signal.SIGINT)), 130),
        (raising(Interrupted(signal.SIGTERM)), 143),
        (raising(NotStarted("needs nginx")), 1),
    ],
    ids=["held", "missed", "SIGINT", "SIGTERM", "not started"],
)
def test_benchmark_ends_with_its_exit_code(measure: Callable[[], int], code: int) -> None:
    with pytest.raises(SystemExit) as ended:
        end_with(measure)
    assert ended.value.code == code


@pytest.mark.usefixtures("_own_handlers")
@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotStarted("needs nginx: apt-get install nginx"), "needs nginx: apt-get install nginx\n"),
        (requests.HTTPError("503 Server Error"), f"FAILED 503 Server Error; see {LOGS}\n"),
    ],
    ids=["not started", "failed"],
)
def test_failure_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        end_with(raising(error))
    assert (ended.value.code, capsys.readouterr().err) == (1, line)
