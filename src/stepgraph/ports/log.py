"""Log: the one place that makes log lines; each carries the same fields, and nothing personal."""

from __future__ import annotations

import logging
import traceback
from typing import NamedTuple

from stepgraph.errors import UnavailableError

_TEXT_LIMIT = 500
_CONTROL = dict.fromkeys((*range(32), *range(127, 160), 0x2028, 0x2029), " ")


class Log(NamedTuple):
    """Writes to the standard library's logger `name` ("stepgraph....").

    Every line has `workflow`, `role` (a process or a consumer), `instance`, `run_id`, `attempt` and
    `error_type` as attributes of its LogRecord; what does not apply is empty or 0. Of an error only
    the type is told, and its text where the store or a stream is away: whatever a user's function
    raises, or a driver quotes of a row, may be personal.
    """

    name: str = "stepgraph.engine"
    workflow: str = ""
    role: str = ""
    instance: str = ""

    def about(self, workflow: str, role: str) -> Log:
        """Return a log of one process of a workflow."""
        return self._replace(workflow=workflow, role=role)

    def info(self, text: str, *values: object) -> None:
        """Tell what is as it should be."""
        self._say(logging.INFO, text, values)

    def warning(
        self,
        text: str,
        *values: object,
        run_id: str = "",
        attempt: int = 0,
        error: BaseException | str = "",
    ) -> None:
        """Tell what a person may want to look at; the engine goes on by itself.

        `error` is the error, or the name of its type where that is all that is to be told.
        """
        self._say(logging.WARNING, text, values, run_id=run_id, attempt=attempt, error=error)

    def error(
        self,
        text: str,
        *values: object,
        run_id: str = "",
        error: BaseException | str = "",
    ) -> None:
        """Tell what a person must look at; `error` is told with the lines that it came through.

        Its text stands in a line of level DEBUG of its own.
        """
        self._say(logging.ERROR, text, values, run_id=run_id, error=error)
        if isinstance(error, BaseException):
            self._say(logging.DEBUG, "its text: %s", (_cleaned(str(error)),), run_id=run_id)

    def _say(
        self,
        level: int,
        text: str,
        values: tuple[object, ...],
        *,
        run_id: str = "",
        attempt: int = 0,
        error: BaseException | str = "",
    ) -> None:
        logger = logging.getLogger(self.name)
        if not logger.isEnabledFor(level):
            return
        if error:
            text += ": %s"
            values += (_told(error, with_lines=level >= logging.ERROR),)
        fields = {
            "workflow": self.workflow,
            "role": self.role,
            "instance": self.instance,
            "run_id": run_id,
            "attempt": attempt,
            "error_type": type(error).__name__ if isinstance(error, BaseException) else error,
        }
        logger.log(level, text, *values, extra=fields, stacklevel=3)


def _told(error: BaseException | str, *, with_lines: bool) -> str:
    """Return what may be told of an error."""
    if isinstance(error, str):
        return error
    kind = type(error).__name__
    if isinstance(error, UnavailableError):
        return f"{kind}: {_cleaned(str(error))}"
    if not with_lines:
        return kind
    # Where, without the source's own words, which may have somebody's in them.
    frames = traceback.extract_tb(error.__traceback__)
    return "\n  ".join((kind, *(f"{f.filename}:{f.lineno} in {f.name}" for f in frames)))


def _cleaned(text: str) -> str:
    """Return a text that cannot pretend to be another line."""
    return text.translate(_CONTROL)[:_TEXT_LIMIT]
