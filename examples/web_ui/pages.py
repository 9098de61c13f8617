"""The pages as HTML. Everything that comes from a run is escaped; there is no script at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import IntEnum
from html import escape
from typing import Any
from urllib.parse import quote

from stepgraph import Attempt, DataDeletedError, HistoryEntry, RunState, Snapshot

ACTIONS = {
    RunState.INITIATED: ("pause", "retry", "cancel"),
    RunState.RUNNING: ("pause", "retry", "cancel"),
    RunState.PAUSED: ("resume", "cancel"),
}
STYLE = """
body { font: 15px system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em }
table { border-collapse: collapse; width: 100% }
th, td { padding: .3em .8em .3em 0; text-align: left }
tr + tr { border-top: 1px solid #ccc } nav a { margin-right: 1em } .problem { color: #a00 }
img { max-width: 100% }
form { display: inline } pre { background: #f4f4f4; padding: 1em; white-space: pre-wrap }
"""
AnyRun = Snapshot[Any, IntEnum]


def page(title: str, body: str) -> str:
    """Return a whole page; `body` is HTML already, the title is not."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/style.css"></head>'
        f"<body><h1>{escape(title)}</h1>{body}</body></html>"
    )


def list_page(runs: Sequence[AnyRun], counts: dict[RunState, int], token: str) -> str:
    """Return the newest runs, and links to those of one run state."""
    links = [f'<a href="/?token={quote(token)}">all</a>']
    links += [
        f'<a href="/?token={quote(token)}&amp;state={state.name}">{state.name.lower()} {count}</a>'
        for state, count in counts.items()
    ]
    rows = [
        (
            f'<a href="/runs/{quote(run.id)}?token={quote(token)}">{escape(run.foreign_id)}</a>',
            escape(run.status.name), _state(run), _time(run.updated_at), str(run.version),
        )
        for run in runs
    ]  # fmt: skip
    head = ("run of", "status", "state", "stored", "version")
    picture = f'<p><img src="/diagram.svg?token={quote(token)}" alt="The statuses of a run"></p>'
    return page("Runs", f"{picture}<nav>{''.join(links)}</nav>{_table(head, rows)}")


def run_page(
    run: AnyRun, history: Iterable[HistoryEntry[Any]], attempts: Iterable[Attempt], token: str
) -> str:
    """Return one run: its object, how it came to be so, what failed, and what can be done."""
    rows = [
        (
            str(entry.version), escape(entry.status.name), entry.run_state.name.lower(),
            escape(f"{entry.cause} {entry.actor}"), escape(entry.reason), _time(entry.at),
        )
        for entry in history
    ]  # fmt: skip
    failures = [
        (
            str(attempt.number), escape(attempt.error_type), escape(attempt.message),
            _time(attempt.at), _time(attempt.next_at) if attempt.next_at else "no further",
        )
        for attempt in attempts
    ]  # fmt: skip
    buttons = [_button(run, action, token) for action in ACTIONS.get(run.run_state, ())]
    return page(
        run.foreign_id,
        f'<nav><a href="/?token={quote(token)}">all runs</a></nav>'
        f"<p>{escape(run.status.name)}, {_state(run)}</p><p>{' '.join(buttons)}</p>"
        f"<pre>{escape(_object(run))}</pre>"
        + _table(("version", "status", "state", "by", "reason", "at"), rows)
        + (_table(("attempt", "error", "message", "at", "next"), failures) if failures else ""),
    )


def _button(run: AnyRun, action: str, token: str) -> str:
    """Return a form that acts on the run as it is shown: it is refused if the run has moved on."""
    return (
        f'<form method="post" action="/runs/{quote(run.id)}/{action}">'
        f'<input type="hidden" name="token" value="{escape(token)}">'
        f'<input type="hidden" name="version" value="{run.version}">'
        f"<button>{action}</button></form>"
    )


def _object(run: AnyRun) -> str:
    try:
        return repr(run.object)
    except DataDeletedError as error:
        return str(error)


def _state(run: AnyRun) -> str:
    name = run.run_state.name.lower()
    return f'{name} <span class="problem">{escape(run.reason)}</span>' if run.reason else name


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; the cells are HTML already."""
    lines = ["".join(f"<th>{escape(name)}</th>" for name in head)]
    lines += ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
