"""The blocking twins are what the generator makes of the coroutines, and follow them."""

import inspect
import subprocess
import sys

import pytest

from stepgraph import Workflow
from stepgraph.blocking import BlockingDeadLetters, BlockingRuns, BlockingWorkflow
from stepgraph.dead_letters import DeadLetters
from stepgraph.runs import Runs
from tools import generate_blocking


def test_the_generated_files_are_up_to_date():
    command = [sys.executable, "tools/generate_blocking.py", "--check"]

    result = subprocess.run(command, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("source", "twin"),
    [(Workflow, BlockingWorkflow), (Runs, BlockingRuns), (DeadLetters, BlockingDeadLetters)],
)
def test_a_twin_has_the_words_and_the_docstrings(source, twin):
    for name, method in vars(twin).items():
        if name.startswith("_") or name == "close":
            continue
        original = getattr(source, name)
        assert inspect.getdoc(method) == inspect.getdoc(original)
        parameters = inspect.signature(original).parameters
        assert list(inspect.signature(method).parameters) == list(parameters)


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A copy of the source with a namespace and a coroutine that are new."""
    for path in (generate_blocking.SOURCE).glob("*.py"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(generate_blocking, "SOURCE", tmp_path)
    monkeypatch.setattr(generate_blocking, "TARGET", tmp_path / "blocking")
    return tmp_path


def plant(folder, namespace):
    workflow = folder / "workflow.py"
    text = workflow.read_text()
    text = text.replace("self.name = definition.name", "self.name = definition.name\n        self.clocks = Clocks()")
    text = text.replace("    async def start(", "    async def count(self) -> int:\n        ...\n\n    async def start(")
    workflow.write_text("from stepgraph.clocks import Clocks\n" + text)
    (folder / "clocks.py").write_text(namespace)


def test_a_new_coroutine_and_a_new_namespace_are_twinned_by_themselves(source):
    plant(source, 'class Clocks:\n    async def wind(self, hours: int = 8) -> None:\n        """Wind."""\n')

    files = {path.name: text for path, text in generate_blocking.files().items()}

    assert "self.clocks: BlockingClocks = BlockingClocks(bridge)" in files["workflow.py"]
    assert "def count(self) -> int:" in files["workflow.py"]
    assert "def wind(self, hours: int = 8) -> None:" in files["clocks.py"]
    assert "BlockingClocks" in files["__init__.py"]


def test_a_public_method_that_does_not_wait_is_not_passed_over_in_silence(source):
    plant(source, "class Clocks:\n    def wind(self) -> None: ...\n    async def stop(self) -> None: ...\n")

    with pytest.raises(SystemExit, match=r"Clocks\.wind\(\) does not wait"):
        generate_blocking.files()
