"""The end of a run: what was published is compared with what arrived, and the report is written."""

from webhookd_load_test.compare import compare_display
from webhookd_load_test.compare.comparison import compare
from webhookd_load_test.compare.unusable_folder import UnusableFolderError
from webhookd_load_test.report.html_report import write_report
from webhookd_load_test.report.run_data import UnusableRunError
from webhookd_load_test.run_folder import result
from webhookd_load_test.run_folder.bounds import Bounds
from webhookd_load_test.run_folder.paths import RunFolder
from webhookd_load_test.scenario.run_display import RunDisplay


def conclude(folder: RunFolder, bounds: Bounds, display: RunDisplay) -> int:
    """Compare what there is, also of a run that ended early, and write the report; returns the exit code."""
    if not folder.facts.exists():
        return 1
    try:
        if not folder.published.exists():
            display.say("nothing was published, so there is nothing to compare")
            display.say(f"report: {write_report(folder)}")
            return 1
        return _conclude(folder, bounds, display)
    except (UnusableFolderError, UnusableRunError, OSError) as error:
        display.say(f"the run cannot be compared: {error}")
        return 1


def _conclude(folder: RunFolder, bounds: Bounds, display: RunDisplay) -> int:
    display.say("comparing what was published with what arrived")
    compared = compare(folder, bounds)
    result.write(folder.result, compared)
    compare_display.show(compared, display.console if display.console.is_terminal else compare_display.console())
    display.say(f"report: {write_report(folder)}")
    return 0 if compared.passed else 1
