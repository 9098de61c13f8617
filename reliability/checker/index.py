"""Index: the history, by run and by owner."""

from __future__ import annotations

from collections.abc import Iterator

from reliability.history import Call, Commit, History, Operation


class Index:
    """What the invariants look up."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.runs: dict[str, list[Commit]] = {}
        self.all_of: dict[str, list[Commit]] = {}
        self.by_version: dict[tuple[str, int], Commit] = {}
        self.operations = {made.number: made for made in history.operations}
        self.calls: dict[str, Call] = {call.token: call for call in history.calls}
        self.progress: dict[tuple[str, int], int] = {}
        self.entered: dict[tuple[str, int], int] = {}
        for commit in history.commits:
            self.all_of.setdefault(commit.run_id, []).append(commit)
            if not commit.is_skip and commit.attempt == 0:
                self.runs.setdefault(commit.run_id, []).append(commit)
                self.by_version[(commit.run_id, commit.version)] = commit

        # What waits for a foreign id goes with the data of its runs, if that is deleted.
        self.erased = {(c.workflow, c.foreign_id) for c in history.commits if c.run_state > 5}
        for commits in self.runs.values():
            self._follow(commits)

    def _follow(self, commits: list[Commit]) -> None:
        """Find out from the outside at which version a run made progress, and came in."""
        progress = entered = commits[0].version
        status = commits[0].status
        for commit in commits:
            if commit.status != status:
                entered, status = commit.version, commit.status
            if commit.cause in ("step", "callback", "timeout") and commit.run_state not in (3, 5):
                progress = commit.version
            self.progress[(commit.run_id, commit.version)] = progress
            self.entered[(commit.run_id, commit.version)] = entered

    def pairs(self) -> Iterator[tuple[Commit, Commit]]:
        """Return every version with the one before."""
        for commits in self.runs.values():
            yield from zip(commits, commits[1:], strict=False)

    def made_by(self, token: str) -> Operation | None:
        """Return the client's call that a callback's mark names."""
        number = token.rpartition(":")[2]
        return self.operations.get(number)

    def entry_of(self, run_id: str, version: int) -> Commit | None:
        """Return the commit by which a run came into the status that it has at a version."""
        entered = self.entered.get((run_id, version), 0)
        return self.by_version.get((run_id, entered))


def name(commit: Commit) -> str:
    """Return how a violation calls a version."""
    return f"{commit.foreign_id!r} ({commit.run_id[-6:]}) v{commit.version}"
