"""Whether memory and descriptors of processes stay flat, judged from the samples of a run."""

from collections.abc import Mapping, Sequence
from statistics import median

from webhookd_load_test.run_folder.samples import ProcessSample, Sample

WARM_UP_SHARE = 0.25
"""Of the run: caches and pools fill in this time."""

LEAST_SAMPLES = 30
WEBHOOKD = ("api", "ingest", "worker")
"""Only webhookd's own processes are judged: Postgres, for example, counts its shared memory once for each backend."""

GROWTH_RATIO = 1.05
MEBIBYTE = 1 << 20
GROWTH_BYTES = 8 * MEBIBYTE
GROWTH_DESCRIPTORS = 8
"""What a process may grow from the first to the last third after the warm-up: by the ratio, or by the amount."""


def growth(samples: Sequence[Sample]) -> dict[str, str]:
    """What grew, in a sentence for each process; empty when all stayed flat. Too few samples are a sentence too."""
    steady_ones = {name: steady for name, steady in _steady(samples).items() if name.startswith(WEBHOOKD)}
    if not steady_ones or min(map(len, steady_ones.values())) < LEAST_SAMPLES:
        return {"webhookd": f"it is not known: fewer than {LEAST_SAMPLES} samples of its processes after the warm-up"}
    found = {name: _grown(steady) for name, steady in steady_ones.items()}
    return {name: text for name, text in found.items() if text}


def _steady(samples: Sequence[Sample]) -> Mapping[str, list[ProcessSample]]:
    """The samples of each process after the warm-up, of those that were there from its end to the run's end."""
    after = samples[int(len(samples) * WARM_UP_SHARE) :]
    if not after:
        return {}
    lasting = set(after[0].processes) & set(after[-1].processes)
    return {name: [one.processes[name] for one in after if name in one.processes] for name in sorted(lasting)}


def _grown(steady: Sequence[ProcessSample]) -> str:
    third = len(steady) // 3
    first, last = steady[:third], steady[-third:]
    before, after = median(one.resident_bytes for one in first), median(one.resident_bytes for one in last)
    if after > max(before * GROWTH_RATIO, before + GROWTH_BYTES):
        return f"memory grew from {before / MEBIBYTE:.0f} to {after / MEBIBYTE:.0f} MiB"
    opened, open_later = median(one.descriptors for one in first), median(one.descriptors for one in last)
    if open_later > max(opened * GROWTH_RATIO, opened + GROWTH_DESCRIPTORS):
        return f"open descriptors grew from {opened:.0f} to {open_later:.0f}"
    return ""
