"""Runs examples as whoever reads them would."""

import subprocess
import sys


def printed_by(name, *arguments):
    """Return what `python -m examples.<name>` prints; it must end well and warn of nothing."""
    command = [sys.executable, "-W", "error", "-m", f"examples.{name}", *arguments]

    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    return result.stdout.splitlines()
