"""The house rules that no linter has, as functions over source text."""

from __future__ import annotations

import ast
import re

FUNCTION_LINES = 60
FILE_LINES = 400
LINE_LENGTH = 100
PARAMETERS = 5
BANNED_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "misc", "impl", "obj"}
BANNED_CALLS = {
    "time.time": ("ports/clock.py",),
    "datetime.now": ("ports/clock.py",),
    "asyncio.sleep": ("ports/clock.py",),
    "uuid.uuid4": ("ports/identity.py",),
    "random.random": ("ports/identity.py",),
    "random.Random": ("ports/identity.py",),
    "os.urandom": ("ports/identity.py",),
    "logging.getLogger": ("ports/log.py",),
    "asyncio.create_task": (),
    "asyncio.ensure_future": (),
}
BANNED_IMPORTS = {"pickle", "marshal", "shelve", "dill"}


def findings(path: str, text: str) -> list[str]:
    """Return every breach of a rule in one file."""
    found = []
    lines = text.splitlines()
    if len(lines) > FILE_LINES:
        found.append(f"{path}: {len(lines)} lines")
    found += [f"{path}:{n}: long line" for n, line in enumerate(lines, 1) if len(line) > LINE_LENGTH]
    found += [f"{path}:{n}: to do" for n, line in enumerate(lines, 1) if re.search(r"\b(TODO|FIXME|XXX)\b", line)]
    tree = ast.parse(text)
    if ast.get_docstring(tree) is None:
        found.append(f"{path}: no docstring")
    for node in ast.walk(tree):
        found += _of_node(path, node)
    return found


def _of_node(path: str, node: ast.AST) -> list[str]:
    found = []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        size = (node.end_lineno or 0) - node.lineno + 1
        if size > FUNCTION_LINES:
            found.append(f"{path}:{node.lineno}: {node.name}() has {size} lines")
        names = [a.arg for a in node.args.posonlyargs + node.args.args if a.arg not in ("self", "cls")]
        if len(names) > PARAMETERS:
            found.append(f"{path}:{node.lineno}: {node.name}() has {len(names)} parameters")
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        words = set(re.split(r"_|(?<=[a-z])(?=[A-Z])", node.name.strip("_")))
        if {word.lower() for word in words} & BANNED_NAMES:
            found.append(f"{path}:{node.lineno}: banned word in {node.name}")
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = {a.name for a in node.names} | {getattr(node, "module", None)}
        if modules & BANNED_IMPORTS:
            found.append(f"{path}:{node.lineno}: banned import")
    if isinstance(node, ast.Call):
        found += _of_call(path, node)
    return found


def _of_call(path: str, node: ast.Call) -> list[str]:
    called = ast.unparse(node.func)
    found = []
    if called in BANNED_CALLS and not path.endswith(BANNED_CALLS[called] or ("\0",)):
        found.append(f"{path}:{node.lineno}: {called}() is banned here")
    if called.endswith(".create_task") and not path.endswith("engine/tasks.py"):
        found.append(f"{path}:{node.lineno}: a bare task")
    if called.rpartition(".")[2] in ("execute", "executemany") and node.args:
        statement = node.args[0]
        is_built = isinstance(statement, ast.JoinedStr | ast.BinOp) or (
            isinstance(statement, ast.Call) and ast.unparse(statement.func).endswith("format")
        )
        if is_built:
            found.append(f"{path}:{node.lineno}: string-built SQL")
    return found
