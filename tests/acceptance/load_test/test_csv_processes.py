"""csv-generate and csv-publish as processes, on a real Kafka, and how signals end them."""

import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

PATIENCE_S = 60.0
ASK_AGAIN_S = 0.05
HOUR_MS = 3_600_000


@contextmanager
def command(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "webhookd_load_test.main", *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


def acknowledged(file: Path) -> int:
    """How many rows the file has; 0 as long as it is not there."""
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file, timeout=PATIENCE_S)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name = 'published'").fetchall()
        return int(connection.execute("SELECT count(*) FROM published").fetchone()[0]) if tables else 0


def wait_until_acknowledged(file: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while acknowledged(file) < count:
        assert process.poll() is None, ended(process)
        assert time.monotonic() < deadline_s, f"{acknowledged(file)} of {count} are acknowledged"
        time.sleep(ASK_AGAIN_S)


def test_stopped_publishing_goes_on(tmp_path: Path, kafka_bootstrap: str) -> None:
    topic, file, published = f"load-{uuid.uuid4().hex}", tmp_path / "records.csv", tmp_path / "published.sqlite"
    rows = [f"{topic},{{}},k,{time_ms}\n" for time_ms in (0, 0, HOUR_MS)]
    file.write_text("topic,payload,key,publish_offset_ms\n" + "".join(rows))
    publish = ["csv-publish", "--csv", str(file), "--bootstrap-servers", kafka_bootstrap]
    with command(*publish, "--create-topics", "--partitions", "2", "--replication-factor", "1") as process:
        wait_until_acknowledged(published, 2, process)
        process.send_signal(signal.SIGTERM)
        exit_code, output = ended(process)
    assert exit_code == 128 + signal.SIGTERM
    assert f"created {topic}" in output
    assert "1 of 3 rows are not published; the same command publishes them" in output
    with command(*publish) as process:
        exit_code, output = ended(process)
    assert exit_code == 0, output
    assert "2 of 3 rows were acknowledged before and are not published again" in output
    assert "published 1 row of" in output
    assert acknowledged(published) == 3


def test_interrupted_generation_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "records.csv"
    with command("csv-generate", "--csv", str(file), "--duration", "1h", "--rows", "1000000000") as process:
        deadline_s = time.monotonic() + PATIENCE_S
        while not list(tmp_path.iterdir()):
            assert process.poll() is None, ended(process)
            assert time.monotonic() < deadline_s
            time.sleep(ASK_AGAIN_S)
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "interrupted; the file was not written\n")
    assert list(tmp_path.iterdir()) == []
