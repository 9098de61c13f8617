"""What a real scrape over loopback shows of workflows that ran."""

import asyncio
import threading
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from prometheus_client import CollectorRegistry, Counter, make_wsgi_app
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as open_metrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

from stepgraph import Backoff, Builder, Pause, Repeat, Skip, UnavailableError
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.prometheus import Prometheus
from stepgraph.adapters.prometheus.metrics import METRICS
from stepgraph.model.fact import LagAlert
from stepgraph.testing import FakeClock, Harness
from tests.engine.test_steps import until
from tests.flows import SOON, Order, Status, one_step, three_steps

QUICK = Backoff(first=timedelta(milliseconds=1), cap=timedelta(milliseconds=1))


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        """Say nothing: the output is the tests'."""


@contextmanager
def served(registry):
    """Serve a registry on loopback, as a worker does; gives a function that scrapes it."""
    with make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()

        def scrape(accept="text/plain"):
            address = f"http://127.0.0.1:{server.server_port}/metrics"
            with urllib.request.urlopen(urllib.request.Request(address, headers={"Accept": accept})) as page:
                return page.read().decode()

        try:
            yield scrape
        finally:
            server.shutdown()
            thread.join()


def families_of(registry):
    """Scrape for real, and return the families by name."""
    with served(registry) as scrape:
        return {family.name: family for family in text_string_to_metric_families(scrape())}


def value(registry, name, **labels):
    """Return one sample of a scrape; None if it is not shown."""
    for family in families_of(registry).values():
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                return sample.value
    return None


def test_the_metrics_have_the_names_types_and_labels_of_the_reference():
    metrics = {metric.name: (metric.kind, metric.labels) for metric in METRICS}
    process = ("workflow_name", "process_name")

    assert metrics["workflow_process_lag_seconds"] == ("gauge", process)
    assert metrics["workflow_process_lag_alert"] == ("gauge", process)
    assert metrics["workflow_process_states"] == ("gauge", process)
    assert metrics["workflow_process_latency_seconds"] == ("histogram", process)
    assert metrics["workflow_process_error_count"] == ("counter", process)
    assert metrics["workflow_process_skipped_events_count"] == ("counter", (*process, "reason"))
    states = ("workflow_name", "previous_run_state", "current_run_state")
    assert metrics["workflow_run_state_changes"] == ("counter", states)


async def test_runs_and_their_latency_are_counted(backend):
    metrics = Prometheus()
    async with three_steps().build(backend, observers=[metrics]) as workflow:
        for number in range(5):
            run_id = await workflow.trigger(f"o-{number}", Order())
            await workflow.await_status(run_id, Status.SENT, within=SOON)
        changes = families_of(metrics.registry)["workflow_run_state_changes"]
        counted = {
            (s.labels["previous_run_state"], s.labels["current_run_state"]): s.value
            for s in changes.samples
            if s.name.endswith("_total")
        }
        assert counted == {
            ("Unknown", "Initiated"): 5,
            ("Initiated", "Running"): 5,
            ("Running", "Completed"): 5,
        }
        latency = families_of(metrics.registry)["workflow_process_latency_seconds"]
        bounds = {s.labels["le"] for s in latency.samples if s.name.endswith("_bucket")}
        assert bounds == {"0.01", "0.1", "1.0", "5.0", "10.0", "60.0", "300.0", "+Inf"}
        for process in ("CREATED", "PAID", "PACKED"):
            name = f"{process}-consumer-1-of-1"
            count = value(metrics.registry, "workflow_process_latency_seconds_count", process_name=name)
            assert count == 5
            assert value(metrics.registry, "workflow_process_states", process_name=name) == 2
            held = value(metrics.registry, "workflow_process_slots_held", process_name=name)
            assert held == value(metrics.registry, "workflow_process_slots", process_name=name) == 16
        assert value(metrics.registry, "workflow_commit_batch_size_sum") == 20
        assert value(metrics.registry, "workflow_commit_seconds_count") >= 1

    assert value(metrics.registry, "workflow_process_states", process_name=name) == 1
    assert value(metrics.registry, "workflow_process_slots_held", process_name=name) == 0


async def test_both_formats_of_a_scrape_are_sound(backend):
    metrics = Prometheus()
    async with three_steps().build(backend, observers=[metrics]) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)
    with served(metrics.registry) as scrape:
        text = scrape()
        found = list(open_metrics_families(scrape("application/openmetrics-text")))

    assert {family.name for family in found} == {metric.name for metric in METRICS}
    assert {f.name: f.type for f in found} == {m.name: m.kind for m in METRICS}
    assert 'workflow_process_states{process_name="PAID-consumer-1-of-1",workflow_name="orders"} 1.0' in text


async def test_failed_attempts_and_pauses_are_counted_by_error_type(backend):
    async def fails(run):
        raise ValueError("a secret")

    metrics = Prometheus()
    flow = one_step(fails, retry=QUICK, pause_after_error_count=3)
    async with flow.build(backend, observers=[metrics]) as workflow:
        run_id = await workflow.trigger("o-1", Order())

        async def paused():
            return (await workflow.runs.get(run_id)).run_state.name

        await until(paused, lambda state: state == "PAUSED")

        labels = {"process_name": "CREATED-consumer-1-of-1", "error_type": "ValueError"}
        failed = "workflow_process_failed_attempts_total"

        async def read():
            return value(metrics.registry, failed, **labels)

        await until(read, lambda count: count == 3)
        assert value(metrics.registry, "workflow_runs_paused_by_errors_total") == 1


async def test_error_types_are_bounded(backend):
    async def fails(run):
        raise type(f"Error{run.foreign_id}", (Exception,), {})

    metrics = Prometheus()
    flow = one_step(fails, pause_after_error_count=1)
    async with flow.build(backend, observers=[metrics]) as workflow:
        for number in range(70):
            await workflow.trigger(str(number), Order())

        async def read():
            family = families_of(metrics.registry)["workflow_process_failed_attempts"]
            return [s for s in family.samples if s.name.endswith("_total")]

        samples = await until(read, lambda found: sum(s.value for s in found) == 70)

    assert len(samples) == 51
    assert sum(s.value for s in samples if s.labels["error_type"] == "other") == 20


async def test_skipped_events_are_counted_by_reason(backend):
    metrics = Prometheus()
    flow = one_step(lambda run: Skip())
    async with flow.build(backend, observers=[metrics]) as workflow:
        await workflow.trigger("o-1", Order())

        async def read():
            name = "workflow_process_skipped_events_count_total"
            return value(metrics.registry, name, reason="next value specified skip")

        assert await until(read, bool) == 1


async def test_the_lag_alert_is_raised_and_taken_back_when_the_work_is_done(backend):
    clock, metrics, alerts = FakeClock(), Prometheus(), []

    class Notes:
        def observe(self, fact):
            if isinstance(fact, LagAlert):
                alerts.append((fact.is_raised, fact.lag_seconds))

    process = {"process_name": "CREATED-consumer-1-of-1"}
    flow = one_step(lambda run: Status.PAID, lag_alert=timedelta(minutes=1))
    async with flow.build(backend, clock=clock).client() as client:
        run_id = await client.trigger("o-1", Order())
    clock.advance(timedelta(minutes=5))
    async with flow.build(backend, observers=[metrics, Notes()], clock=clock) as workflow:
        await workflow.await_status(run_id, Status.PAID, within=SOON)

        async def lag():
            return value(metrics.registry, "workflow_process_lag_seconds", **process)

        # Nothing else comes: the pulse finds out that nothing waits any more.
        await until(lag, lambda seconds: seconds == 0)
        assert value(metrics.registry, "workflow_process_lag_alert", **process) == 0
        assert alerts == [(True, 300.0), (False, 0.0)]


async def test_work_that_is_not_received_yet_is_late_too(backend):
    metrics = Prometheus()
    async with three_steps().build(backend, observers=[metrics]) as workflow:
        consumer = next(c for c in workflow.opened().instance.consumers if c.name == "orders/step/1")
        now = workflow.opened().instance.clock.microseconds()

        consumer.look_at_queue(now - 7_000_000)

        process = {"process_name": "CREATED-consumer-1-of-1"}
        assert 7 <= value(metrics.registry, "workflow_process_lag_seconds", **process) < 60


async def test_due_rows_and_dead_letters_are_counted_within_bounds(backend):
    metrics, clock = Prometheus(), FakeClock()
    flow = three_steps()

    @flow.on(max_attempts=1)
    async def tell(change):
        raise RuntimeError("no")

    async with Harness(flow, backend=backend, observers=[metrics], clock=clock) as harness:
        await harness.trigger("o-1", Order())
        await harness.workflow.trigger("later", Order(), after=timedelta(days=1))
        await harness.settle()
        await harness.workflow.opened().instance.counter.count()

        hook = {"process_name": "tell-hook-consumer"}
        letters = value(metrics.registry, "workflow_dead_letters", **hook)
        assert letters == 4
        assert value(metrics.registry, "workflow_dead_letters_parked_total", **hook) == letters
        assert value(metrics.registry, "workflow_queue_due_rows", process_name="CREATED-consumer-1-of-1") == 0


async def test_the_lateness_of_timers_is_observed(backend):
    metrics, flow = Prometheus(), Builder("orders", Order, Status)
    flow.add_timeout(Status.CREATED, remind, after=timedelta(hours=1), to=[Status.PAID])
    async with Harness(flow, backend=backend, observers=[metrics]) as harness:
        await harness.trigger("o-1", Order())
        await harness.advance(timedelta(hours=1))
        await harness.require("o-1", Status.PAID, Order())

    name = "workflow_timer_lateness_seconds"
    assert value(metrics.registry, f"{name}_count", timer_name="remind", workflow_name="orders") == 1
    assert value(metrics.registry, f"{name}_bucket", timer_name="remind", le="0.1") == 1
    process = {"process_name": "CREATED-timeout-consumer"}
    assert value(metrics.registry, "workflow_process_latency_seconds_count", **process) == 1


def remind(run):
    return Status.PAID


async def test_a_store_that_is_away_is_counted(backend, monkeypatch):
    metrics = Prometheus()
    async with three_steps().build(backend, observers=[metrics]) as workflow:
        commit, calls = backend.record_store.commit, []

        async def away(writes, finished=()):
            calls.append(len(writes))
            if len(calls) == 1:
                raise UnavailableError("unplugged")
            return await commit(writes, finished)

        monkeypatch.setattr(backend.record_store, "commit", away)
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)

    labels = {"error_type": "UnavailableError"}
    assert value(metrics.registry, "workflow_commit_error_count_total", **labels) == 1


async def test_two_workflows_on_one_backend_share_an_observer_without_counting_twice(backend):
    metrics = Prometheus()
    first = three_steps("first").build(backend, observers=[metrics])
    second = three_steps("second").build(backend, observers=[metrics])
    async with first, second:
        for workflow in (first, second):
            run_id = await workflow.trigger("o-1", Order())
            await workflow.await_status(run_id, Status.SENT, within=SOON)

    done = {"current_run_state": "Completed"}
    for name in ("first", "second"):
        assert value(metrics.registry, "workflow_run_state_changes_total", workflow_name=name, **done) == 1
    assert value(metrics.registry, "workflow_commit_batch_size_sum") == 8


async def test_two_observers_of_two_workflows_on_one_backend_do_not_mix(backend):
    mine, yours = Prometheus(), Prometheus()
    first = three_steps("first").build(backend, observers=[mine])
    second = three_steps("second").build(backend, observers=[yours])
    async with first, second:
        run_id = await first.trigger("o-1", Order())
        await first.await_status(run_id, Status.SENT, within=SOON)

    changes = "workflow_run_state_changes_total"
    assert value(mine.registry, changes, workflow_name="first") == 1
    assert value(yours.registry, changes, workflow_name="first") is None


async def test_two_observers_on_one_registry_add_up():
    registry = CollectorRegistry()
    for number in range(2):
        flow = three_steps()
        async with flow.build(Memory(), observers=[Prometheus(registry)]) as workflow:
            run_id = await workflow.trigger(f"o-{number}", Order())
            await workflow.await_status(run_id, Status.SENT, within=SOON)

    assert value(registry, "workflow_run_state_changes_total", current_run_state="Completed") == 2


def test_a_registry_with_metrics_of_these_names_is_refused():
    registry = CollectorRegistry()
    Counter("workflow_run_state_changes", "Mine", registry=registry)

    with pytest.raises(ValueError, match="Duplicated"):
        Prometheus(registry)


async def test_a_process_that_lost_its_role_shows_no_lag_any_more(new_backend):
    metrics, flow = Prometheus(), three_steps()
    first = flow.build(new_backend(), observers=[metrics])
    async with first:
        consumer = next(c for c in first.opened().instance.consumers if c.name == "orders/step/1")
        consumer.look_at_queue(1)
        process = {"process_name": "CREATED-consumer-1-of-1"}
        assert value(metrics.registry, "workflow_process_lag_seconds", **process) > 1
        assert value(metrics.registry, "workflow_process_lag_alert", **process) == 1

        consumer.hold(frozenset())

        assert value(metrics.registry, "workflow_process_lag_seconds", **process) == 0
        assert value(metrics.registry, "workflow_process_lag_alert", **process) == 0
        assert value(metrics.registry, "workflow_process_states", **process) == 3
        assert value(metrics.registry, "workflow_process_slots_held", **process) == 0


async def test_pauses_and_repeats_change_the_state_once(backend):
    answers = iter([Repeat(), Repeat(), Pause("look")])
    metrics, flow = Prometheus(), one_step(lambda run: next(answers))
    async with Harness(flow, backend=backend, observers=[metrics]) as harness:
        await harness.trigger("o-1", Order())

    changes = "workflow_run_state_changes_total"
    assert value(metrics.registry, changes, current_run_state="Running") == 1
    assert value(metrics.registry, changes, previous_run_state="Running", current_run_state="Paused") == 1
    assert value(metrics.registry, "workflow_runs_paused_by_errors_total") == 0
