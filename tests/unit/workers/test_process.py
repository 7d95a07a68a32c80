"""A worker process before its first task."""

from pathlib import Path

import pytest

from webhookd.errors import UnusableSetting
from webhookd.settings import Settings
from workers.edges import build_edges
from workers.process import WorkerProcess, bounds_of


def test_unusable_proxy_is_told_before_any_task(tmp_path: Path) -> None:
    embedded = {"redis_url": "memory://", "database_url": f"sqlite:///{tmp_path}/webhookd.db"}
    settings = Settings.model_validate({**embedded, "egress_proxy": "socks5://user:secret@proxy:1080"})
    edges = build_edges(settings)
    with pytest.raises(UnusableSetting, match="EGRESS_PROXY"):
        WorkerProcess(settings, edges)
    edges.close()


@pytest.mark.parametrize(("level", "logged"), [("debug", True), ("DEBUG", True), ("info", False)])
def test_debug_level_has_attempts_logged(level: str, logged: bool) -> None:
    assert bounds_of(Settings.model_validate({"log_level": level})).log_attempts is logged
