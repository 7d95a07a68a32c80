"""The scenarios of the load test are the same in their folder, in the how-to page and in the workflow.

Oracle: the files themselves.
"""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SCENARIOS = sorted(file.stem for file in (ROOT / "load-test" / "scenarios").glob("*.toml"))


def test_how_to_page_describes_every_scenario() -> None:
    page = (ROOT / "docs" / "how-to" / "load-test.md").read_text(encoding="utf-8")
    section = page.partition("## Scenarios\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == SCENARIOS


def test_workflow_offers_every_scenario() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "load-test.yml").read_text(encoding="utf-8"))
    inputs = workflow[True]["workflow_dispatch"]["inputs"]  # YAML 1.1 reads the key `on` as true
    assert inputs["scenario"]["options"] == SCENARIOS
