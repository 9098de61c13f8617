"""Both type checkers accept what is right, and report every planted mistake on its line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict"],
    "pyright": [sys.executable, "-m", "pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("name", ["accepted.py", "refused.py"])
def test_a_checker_reports_exactly_the_marked_lines(checker, name):
    path = FOLDER / name
    lines = path.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# E")}

    result = subprocess.run(
        [*CHECKERS[checker], str(path)], capture_output=True, text=True, check=False
    )

    pattern = rf"{re.escape(name)}:(\d+)(?::\d+)?(?: -)?:? error"
    reported = {int(number) for number in re.findall(pattern, result.stdout)}
    assert reported == marked, result.stdout[-3000:]
