"""Every command that uses Redis refuses a URL that it cannot use: one line without the password, and exit code 2.

The commands run one after another in one process, because starting Python takes longer than what is tested.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0

SCRIPT = """
import json, sys
from click.testing import CliRunner
from celery.bin.celery import celery
from command.main import main

lines = {"api": [main, "api"], "ingest": [main, "ingest"], "worker": [main, "worker"], "flower": [main, "flower"],
         "celery": [celery, "-A", "workers", "inspect", "ping"]}
results = {name: CliRunner().invoke(command, arguments) for name, (command, *arguments) in lines.items()}
print(json.dumps({name: [result.exit_code, result.output] for name, result in results.items()}))
"""
LINE = "WEBHOOKD_REDIS_URL: has the unknown parameter ssl_verify"


def test_each_command_ends_with_one_line() -> None:
    url = "rediss://user:s3cret@127.0.0.1:1/0?ssl_verify=no"
    environment = {**os.environ, "WEBHOOKD_REDIS_URL": url, "WEBHOOKD_LOG_LEVEL": "error"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    )
    results = json.loads(done.stdout)
    assert {name: code for name, (code, _) in results.items()} == dict.fromkeys(results, 2)
    assert set(results) == {"api", "ingest", "worker", "flower", "celery"}
    for output in (output for _, output in results.values()):
        (line,) = output.splitlines()
        assert (LINE in line, "s3cret" in line) == (True, False)
