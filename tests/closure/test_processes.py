"""The processes are the same wherever they are listed: Procfile, docker-compose.yml, the application's queues.

Oracle: the files themselves, read by parsers; no Docker engine is asked.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from command.loading import load_settings
from stack import kafka_jars
from tests.harness.databases import create_tables
from webhookd.configuration.environment import unknown_names
from webhookd.flow.control.membership import Member
from webhookd.settings import Settings
from webhookd.store import ingest_members
from webhookd.store.database import Database
from workers.task_names import FIRST, QUEUES, RETRY

ROOT = Path(__file__).resolve().parents[2]
ONE_SHOTS = {"migrate"}
CONDITIONS = {"service_healthy", "service_completed_successfully"}

PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}

every_service = pytest.mark.parametrize("name", SERVICES)


def test_procfile_lists_every_process() -> None:
    assert set(PROCFILE) == {"api", "ingest", "worker-first", "worker-retry", "flower"}


def test_compose_runs_the_procfiles_commands() -> None:
    assert {name: service["command"] for name, service in OURS.items() if name not in ONE_SHOTS} == PROCFILE


def test_each_queue_has_a_worker_process() -> None:
    consumed = [line.split("--queue ")[1].split() for line in PROCFILE.values() if "--queue " in line]
    assert sorted(name for names in consumed for name in names) == sorted(QUEUES)


def test_queues_are_the_two_declared() -> None:
    assert set(QUEUES.values()) == {FIRST, RETRY} == {"webhookd.first", "webhookd.retry"}


@every_service
def test_service_says_how_it_is_healthy(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check == {"disable": True} if name in ONE_SHOTS else check["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("beating", [True, False])
def test_ingest_is_healthy_while_its_heart_beats(tmp_path: Path, beating: bool) -> None:
    url = f"sqlite:///{tmp_path}/webhookd.db"
    create_tables(url)
    database = Database(url)
    if beating:
        with database.transaction() as session:
            ingest_members.heartbeat(session, Member(id="member"))
    database.close()
    _, _, *arguments = SERVICES["ingest"]["healthcheck"]["test"]
    # Long, since the check may start late on a busy machine.
    environment = {**os.environ, "WEBHOOKD_DATABASE_URL": url, "WEBHOOKD_INGEST_MEMBER_TIMEOUT_S": "600"}
    ended = subprocess.run([sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (ended.returncode == 0, b"no ingest process has a heartbeat" in ended.stderr) == (beating, not beating)


@pytest.mark.parametrize("name", ["ingest", "worker-first", "worker-retry"])
def test_process_with_many_connections_may_open_files(name: str) -> None:
    assert OURS[name]["ulimits"]["nofile"]["soft"] >= 65536


@pytest.mark.parametrize("name", OURS)
def test_settings_of_service_can_be_used(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, text in OURS[name]["environment"].items():
        monkeypatch.setenv(variable, re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text))
    load_settings()


def test_each_setting_that_is_named_outside_the_product_exists() -> None:
    files = [ROOT / name for name in ("Makefile", "README.md", "docker-compose.yml", "Dockerfile")]
    files += [path for folder in ("stack", "load-test") for path in (ROOT / folder).rglob("*.py")]
    named = {name for file in files for name in re.findall(r"\bWEBHOOKD_[A-Z_]*[A-Z]\b", file.read_text())}
    assert list(unknown_names(dict.fromkeys(named, ""), Settings.model_fields)) == []


@every_service
def test_dependencies_wait_for_a_condition(name: str) -> None:
    for other, wanted in SERVICES[name].get("depends_on", {}).items():
        assert wanted["condition"] in CONDITIONS
        assert (wanted["condition"] == "service_completed_successfully") == (other in ONE_SHOTS)
        assert other in SERVICES


@pytest.mark.parametrize("name", sorted(set(OURS) - ONE_SHOTS))
def test_process_starts_after_the_migration(name: str) -> None:
    assert {"kafka", "redis", "postgres", "migrate"} <= set(SERVICES[name]["depends_on"])


@every_service
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", sorted(set(SERVICES) - set(OURS)))
def test_foreign_image_is_pinned(name: str) -> None:
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag
    assert tag != "latest"


def test_prometheus_and_grafana_start_on_request_only() -> None:
    on_request = {name for name, service in SERVICES.items() if service.get("profiles") == ["observability"]}
    assert (
        on_request == {name for name, service in SERVICES.items() if "profiles" in service} == {"prometheus", "grafana"}
    )


def test_prometheus_scrapes_every_process_where_it_serves_metrics() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    looked_up = [one for job in configuration["scrape_configs"] for one in job.get("dns_sd_configs", [])]
    scraped = {name: one["port"] for one in looked_up for name in one["names"]}
    assert set(scraped) == set(PROCFILE) - {"flower"}
    for name, port in scraped.items():
        assert OURS[name]["environment"]["WEBHOOKD_METRICS_BIND"] == f"0.0.0.0:{port}"
        assert not any(published.endswith(f":{port}") for published in OURS[name].get("ports", []))


def test_names_of_the_jobs_are_those_that_the_rules_expect() -> None:
    configuration = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"] for job in configuration["scrape_configs"] if "dns_sd_configs" in job}
    assert jobs == {f"webhookd-{name}" for name in PROCFILE} - {"webhookd-flower"}
    mounted = {volume.partition(":")[0] for volume in SERVICES["prometheus"]["volumes"]}
    assert "./deploy/prometheus" in mounted
    assert (ROOT / "deploy/prometheus" / configuration["rule_files"][0]).exists()


def test_kafka_is_the_version_tests_run_on() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_jars.VERSION}"


def test_redis_refuses_rather_than_forgets() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


def test_image_runs_as_a_user_without_rights() -> None:
    users = [line.split()[1] for line in (ROOT / "Dockerfile").read_text().splitlines() if line.startswith("USER ")]
    assert users[-1:] == ["10001"]
