"""Every Python snippet of the README and the docs runs as pasted."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.postgres import empty_postgres

PAGES = [Path("README.md"), *sorted(Path("docs").rglob("*.md"))]
SNIPPETS = [
    pytest.param(text, id=f"{page}:{number}")
    for page in PAGES
    for number, text in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("text", SNIPPETS)
def test_a_snippet_runs(text, tmp_path):
    command = [sys.executable, "-W", "error", "-c", text]
    environment = dict(os.environ)
    if "adapters.postgres" in text:
        url = urlsplit(empty_postgres())
        environment |= {"PGHOST": url.hostname, "PGPORT": str(url.port), "PGUSER": url.username}
        environment |= {"PGDATABASE": url.path.strip("/")}

    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )

    assert result.returncode == 0, result.stderr
    for line in re.findall(r"# prints (.*)", text):
        assert line in result.stdout


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page}: {target}"
        for page in [*PAGES, Path("ARCHITECTURE.md"), Path("CONTRIBUTING.md"), Path("STYLE.md")]
        for target in re.findall(r"\]\(([^)#:]+\.md)\)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []
