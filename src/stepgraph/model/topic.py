"""Names of topics, consumers and roles: injective, because "/" is in no name that a user gives."""

from __future__ import annotations


def step_topic(workflow: str, status: int) -> str:
    """Return the topic on which runs that reach a status are announced; the consumer's name too.

    It carries the number of the status, so that renaming an enum member moves no position.
    """
    return f"{step_topics(workflow)}{status}"


def step_topics(workflow: str) -> str:
    """Return what the topics of a workflow's steps begin with."""
    return f"{workflow}/step/"


def relay_consumer(workflow: str) -> str:
    """Return the consumer of a workflow's outbox rows."""
    return f"{workflow}/relay"


def resume_consumer(workflow: str) -> str:
    """Return the consumer that resumes runs paused by errors."""
    return f"{workflow}/resume"


def timeout_consumer(workflow: str, status: int) -> str:
    """Return the consumer of a status's timers: a row is due when its timer is."""
    return f"{workflow}/timeout/{status}"


def timers_consumer(workflow: str, status: int) -> str:
    """Return the consumer that finds out when a status's timers are due."""
    return f"{workflow}/timers/{status}"


def hook_consumer(workflow: str, hook: str) -> str:
    """Return the consumer of a hook's calls."""
    return f"{workflow}/hook/{hook}"


def inbox_consumer(workflow: str) -> str:
    """Return the consumer of callbacks that came before their run."""
    return f"{workflow}/inbox"


def pull_consumer(workflow: str) -> str:
    """Return the consumer that makes rows due which were put off until something happens."""
    return f"{workflow}/pull"


def delete_consumer(workflow: str) -> str:
    """Return the consumer of requests to delete data."""
    return f"{workflow}/delete"


def retention_consumer(workflow: str) -> str:
    """Return the consumer that prunes what is older than it is kept."""
    return f"{workflow}/retention"


def join_consumer(workflow: str) -> str:
    """Return the consumer that looks whether the children of a workflow's runs have ended."""
    return f"{workflow}/join"


def join_call_consumer(workflow: str, status: int) -> str:
    """Return the consumer that calls a status's join function."""
    return f"{workflow}/join/{status}"


def spawn_consumer(workflow: str) -> str:
    """Return the consumer that starts the children of a workflow's runs, and cancels them."""
    return f"{workflow}/spawn"


def connector_consumer(workflow: str, connector: str) -> str:
    """Return the consumer of a connector's events, and the name of its position in the source."""
    return f"{workflow}/connector/{connector}"


def schedules_consumer(workflow: str) -> str:
    """Return the consumer of the schedules that no code declares, and of what looks after all."""
    return f"{workflow}/schedule"


def schedule_consumer(workflow: str, schedule: str, fingerprint: str) -> str:
    """Return the consumer of a declared schedule: only instances that declare it can be it."""
    return f"{workflow}/schedule/{schedule}/{fingerprint}"


def slot_role(consumer: str, slot: int) -> str:
    """Return the role of one slot of a consumer: the unit of lease."""
    return f"{consumer}/{slot}"
