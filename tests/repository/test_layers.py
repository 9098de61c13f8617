"""The layers of ARCHITECTURE.md hold."""

import subprocess
import sys
from pathlib import Path


def test_the_import_contracts_are_kept():
    command = [str(Path(sys.executable).with_name("lint-imports"))]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stdout[-2000:]
