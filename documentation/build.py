"""Runs the site generator in strict mode: a link to a missing page or heading fails the build."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path


def build(root: Path) -> Path | None:
    """Build the site from an empty folder; return that folder, or None when the generator failed.

    The generator prints what is wrong itself.
    """
    configuration = tomllib.loads((root / "zensical.toml").read_text(encoding="utf-8"))
    site = root / str(configuration["project"]["site_dir"])
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    status = subprocess.run(command, cwd=root, check=False).returncode
    return site if status == 0 else None
