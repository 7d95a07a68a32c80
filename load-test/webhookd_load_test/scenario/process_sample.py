"""The usage of processes with their children, from /proc."""

from pathlib import Path

from webhookd_load_test.process_usage import Roots, usage
from webhookd_load_test.run_folder.samples import ProcessSample


def sampled(roots: Roots) -> dict[str, ProcessSample]:
    """A sample of each; one that has just ended counts as nothing."""
    used = usage(roots)
    return {
        name: ProcessSample(
            cpu_s=used.cpu_s[name],
            resident_bytes=used.resident_bytes[name],
            descriptors=sum(_descriptors(pid) for pid in used.pids[name]),
        )
        for name in roots
    }


def _descriptors(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:  # it has ended, or belongs to another user
        return 0
