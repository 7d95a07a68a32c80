"""Where the benchmarks' processes write their logs: a folder in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
"""The checkout. The load test is installed from it as an editable distribution, and never without it."""

LOGS = ROOT / ".state" / "benchmarks"
"""One log file for each process of the last run; the services' own logs are removed with their data."""
