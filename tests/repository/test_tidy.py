"""The source keeps the house rules, and each rule catches what it is for."""

from pathlib import Path

import pytest

from tests.repository.rules import findings

SOURCE = Path("src/stepgraph")


def test_the_source_keeps_every_rule():
    found = [f for path in sorted(SOURCE.rglob("*.py")) for f in findings(str(path), path.read_text())]

    assert found == []


@pytest.mark.parametrize(
    "planted",
    [
        "x = 1\n",
        '"""D."""\n' + "x = 1\n" * 400,
        '"""D."""\nx = "' + "a" * 100 + '"\n',
        '"""D."""\ndef f():\n' + "    x = 1\n" * 60,
        '"""D."""\ndef f(a, b, c, d, e, g): ...\n',
        '"""D."""\nclass RunManager: ...\n',
        '"""D."""\nimport pickle\n',
        '"""D."""\nasyncio.sleep(1)\n',
        '"""D."""\nlogging.getLogger("stepgraph")\n',
        '"""D."""\nloop.create_task(x)\n',
        '"""D."""\nconnection.execute(f"select {x}")\n',
        '"""D."""\nconnection.execute("select " + x)\n',
        '"""D."""\n# TODO: later\n',
    ],
)
def test_a_planted_breach_is_found(planted):
    assert findings("src/stepgraph/engine/planted.py", planted)


def test_clean_code_has_no_findings():
    assert findings("src/stepgraph/x.py", '"""D."""\n\ndef run(a: int) -> int:\n    return a\n') == []
