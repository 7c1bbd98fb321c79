"""The command itself, run for a spec; its lines are the evidence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.compiled import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def accept(spec: Path, record: Callable[[str, object], None], *options: str) -> None:
    """Verify a spec with the command; every check that applies has to pass."""
    done = subprocess.run(
        [sys.executable, "-m", "compiler", "verify", "-f", str(spec), "--format", "json", *options],
        cwd=spec.parent,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    # Else it came to nothing, and says why.
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    failed = []
    for image in found["images"]:
        for check in image["checks"]:
            record(
                "evidence",
                f"{found['app']}, {image['flavour']}: {check['name']}: {check['status']}: {check['evidence']}",
            )
            if check["status"] == "failed":
                failed.append(check)
    assert not failed, json.dumps(failed, indent=2)
    assert done.returncode == 0, done.stderr
