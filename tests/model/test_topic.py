"""Names of consumers, topics and roles are injective: no two pieces of work share one."""

from itertools import product

from stepgraph.model.topic import (
    connector_consumer,
    delete_consumer,
    hook_consumer,
    inbox_consumer,
    pull_consumer,
    relay_consumer,
    resume_consumer,
    slot_role,
    step_topic,
    timeout_consumer,
    timers_consumer,
)

NAMES = ["a", "A", "a-1", "a_1", "step", "a.b", "relay", "1"]


def test_no_two_consumers_share_a_name():
    found = [
        make(workflow)
        for make in (relay_consumer, resume_consumer, inbox_consumer, pull_consumer, delete_consumer)
        for workflow in NAMES
    ]
    for make in (step_topic, timeout_consumer, timers_consumer):
        found += [make(workflow, status) for workflow, status in product(NAMES, (0, 1, -1, 11))]
    for make in (hook_consumer, connector_consumer):
        found += [make(workflow, name) for workflow, name in product(NAMES, NAMES)]
    roles = [slot_role(name, slot) for name in found for slot in range(16)]

    assert len(set(found)) == len(found)
    assert len(set(roles)) == len(roles)


def test_a_topic_names_the_number_of_its_status_and_keeps_the_case():
    assert step_topic("Orders", 7) == "Orders/step/7"
