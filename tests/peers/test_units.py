"""systemd reads the unit that ``candidate init --deploy systemd`` writes."""

import subprocess
from pathlib import Path

from candidate.flows.starting import templates


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """Not even an unknown key, which it would only warn of."""
    unit = tmp_path / "my-model.service"
    unit.write_text(templates(deploy="systemd")["deploy/my-model.service"])
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
