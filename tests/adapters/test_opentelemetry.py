"""What an in-process collector is given of runs: one trace from the trigger to the end."""

import asyncio
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from stepgraph import Backoff, Builder, ConnectorEvent, DefinitionError, RunState, Skip, Trigger
from stepgraph.adapters.memory import Memory, MemoryConnector
from stepgraph.adapters.opentelemetry import OpenTelemetry
from stepgraph.testing import Harness
from tests.engine.test_steps import until
from tests.flows import SOON, Order, Status, one_step, three_steps

QUICK = Backoff(first=timedelta(milliseconds=1), cap=timedelta(milliseconds=1))


class Collected:
    """A tracer provider of a test's own, and what it exported."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("test")

    def spans(self, name):
        return [span for span in self.exporter.get_finished_spans() if span.name == name]

    def span(self, name):
        (found,) = self.spans(name)
        return found

    async def came(self, name, count=1):
        async def read():
            return self.spans(name)

        return await until(read, lambda found: len(found) >= count)


@pytest.fixture
def collected():
    return Collected()


def is_child(span, parent):
    return span.parent is not None and span.parent.span_id == parent.context.span_id


async def test_a_run_is_one_trace_from_its_trigger_to_its_end(backend, collected):
    async with three_steps().build(backend, observers=[OpenTelemetry(collected.provider)]) as workflow:
        with collected.tracer.start_as_current_span("request") as request:
            run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)
        await collected.came("run orders")

    trigger = collected.span("trigger orders")
    assert trigger.parent.span_id == request.get_span_context().span_id
    for name, status, outcome in [
        ("step charge", "CREATED", "PAID"),
        ("step pack", "PAID", "PACKED"),
        ("step send", "PACKED", "SENT"),
    ]:
        step = collected.span(name)
        assert is_child(step, trigger)
        assert step.context.trace_id == trigger.context.trace_id
        assert dict(step.attributes) == {
            "stepgraph.workflow": "orders",
            "stepgraph.function": name.removeprefix("step "),
            "stepgraph.run_id": run_id,
            "stepgraph.status": status,
            "stepgraph.process": f"{status}-consumer-1-of-1",
            "stepgraph.attempt": 1,
            "stepgraph.outcome": outcome,
        }
    whole = collected.span("run orders")
    assert is_child(whole, trigger)
    assert whole.attributes["stepgraph.outcome"] == "COMPLETED"
    assert whole.start_time <= collected.span("step charge").start_time + 1_000_000
    assert trigger.attributes["stepgraph.run_id"] == run_id


async def test_the_trace_goes_on_in_another_process(new_backend, collected):
    tracer = OpenTelemetry(collected.provider)
    async with three_steps().build(new_backend(), observers=[tracer]).client() as client:
        run_id = await client.trigger("o-1", Order())
    async with three_steps().build(new_backend(), observers=[tracer]) as workflow:
        await workflow.await_status(run_id, Status.SENT, within=SOON)

    assert is_child(collected.span("step send"), collected.span("trigger orders"))


async def test_spans_of_a_function_are_children_of_its_call(backend, collected):
    flow = Builder("orders", Order, Status)

    async def calls(run):
        with collected.tracer.start_as_current_span("provider"):
            await asyncio.sleep(0)
        return Status.PAID

    def calls_in_a_thread(run):
        with collected.tracer.start_as_current_span("printer"):
            return Status.PACKED

    flow.add_step(Status.CREATED, calls, to=[Status.PAID])
    flow.add_step(Status.PAID, calls_in_a_thread, to=[Status.PACKED])
    async with flow.build(backend, observers=[OpenTelemetry(collected.provider)]) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.PACKED, within=SOON)

    assert is_child(collected.span("provider"), collected.span("step calls"))
    assert is_child(collected.span("printer"), collected.span("step calls_in_a_thread"))


async def test_steps_do_not_belong_to_what_started_the_worker(backend, collected):
    flow = one_step(lambda run: Status.PAID)
    with collected.tracer.start_as_current_span("startup") as startup:
        workflow = flow.build(backend, observers=[OpenTelemetry(collected.provider)])
        await workflow.start()
    async with one_step(lambda run: Status.PAID).build(backend).client() as untraced:
        run_id = await untraced.trigger("o-1", Order())
        workflow.opened().wake()
        await workflow.await_status(run_id, Status.PAID, within=SOON)
    await workflow.stop()

    (step,) = [s for s in collected.exporter.get_finished_spans() if s.name.startswith("step ")]
    assert step.parent is None
    assert step.context.trace_id != startup.get_span_context().trace_id


@pytest.mark.parametrize("error_messages", [False, True])
async def test_failures_tell_their_type_and_their_text_only_if_asked(backend, collected, error_messages):
    async def fails(run):
        if run.attempt == 1:
            raise ValueError("card 4242")
        return Status.PAID

    tracer = OpenTelemetry(collected.provider, error_messages=error_messages)
    async with one_step(fails, retry=QUICK).build(backend, observers=[tracer]) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.PAID, within=SOON)

    first, second = collected.spans("step fails")
    assert first.status.status_code is StatusCode.ERROR
    assert first.attributes["error.type"] == "ValueError"
    assert first.attributes["stepgraph.outcome"] == "failed"
    assert first.status.description == ("ValueError: card 4242" if error_messages else "ValueError")
    assert second.attributes["stepgraph.attempt"] == 2
    assert second.status.status_code is StatusCode.UNSET
    assert ("4242" in first.to_json()) is error_messages


async def test_an_answer_that_is_refused_is_a_failure(backend, collected):
    flow = one_step(lambda run: Status.SENT, pause_after_error_count=1)
    async with flow.build(backend, observers=[OpenTelemetry(collected.provider)]) as workflow:
        await workflow.trigger("o-1", Order())
        (step,) = await collected.came("step <lambda>")

    assert step.attributes["error.type"] == "InvalidTransitionError"
    assert step.attributes["stepgraph.outcome"] == "paused"


async def test_a_step_past_its_time_limit_is_a_failure(backend, collected):
    async def hangs(run):
        await asyncio.Event().wait()

    flow = one_step(hangs, time_limit=timedelta(milliseconds=20), pause_after_error_count=1)
    async with flow.build(backend, observers=[OpenTelemetry(collected.provider)]) as workflow:
        await workflow.trigger("o-1", Order())
        (step,) = await collected.came("step hangs")

    assert step.attributes["error.type"] == "FunctionTimeLimitError"


async def test_callbacks_timeouts_and_hooks_belong_to_the_run(backend, collected):
    flow = Builder("orders", Order, Status)
    flow.add_callback(Status.CREATED, paid, to=[Status.PAID])
    flow.add_timeout(Status.PAID, remind, after=timedelta(days=3), to=[Status.PACKED])

    @flow.on(RunState.COMPLETED)
    async def tell(change):
        return None

    tracer = OpenTelemetry(collected.provider)
    async with Harness(flow, backend=backend, observers=[tracer]) as harness:
        run = await harness.trigger("o-1", Order())
        with collected.tracer.start_as_current_span("webhook") as webhook:
            await harness.workflow.callback("o-1", Status.CREATED, b"{}")
        await harness.advance(timedelta(days=3))
        await collected.came("hook tell")

    trigger = collected.span("trigger orders")
    for name, status, outcome in [
        ("callback paid", "CREATED", "PAID"),
        ("timeout remind", "PAID", "PACKED"),
        ("hook tell", "PACKED", "done"),
    ]:
        span = collected.span(name)
        assert is_child(span, trigger)
        assert span.attributes["stepgraph.run_id"] == run.id
        assert span.attributes["stepgraph.status"] == status
        assert span.attributes["stepgraph.outcome"] == outcome
    (link,) = collected.span("callback paid").links
    assert link.context.span_id == webhook.get_span_context().span_id


def paid(run, payload):
    return Status.PAID


def remind(run):
    return Status.PACKED


async def test_a_callback_that_raises_is_a_failed_span_and_raises(backend, collected):
    flow = Builder("orders", Order, Status)

    async def refuses(run, payload):
        raise KeyError("nobody")

    flow.add_callback(Status.CREATED, refuses, to=[Status.PAID])
    async with flow.build(backend, observers=[OpenTelemetry(collected.provider)]) as workflow:
        await workflow.trigger("o-1", Order())
        with pytest.raises(KeyError):
            await workflow.callback("o-1", Status.CREATED)

    assert collected.span("callback refuses").attributes["error.type"] == "KeyError"


async def test_a_connector_joins_the_trace_of_its_event(backend, collected):
    flow, source = one_step(lambda run: Skip()), MemoryConnector()

    async def orders_in(workflow, event):
        await workflow.trigger(event.foreign_id, Order())

    flow.add_connector("shop", orders_in)
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    options = {"connectors": {"shop": source}, "observers": [OpenTelemetry(collected.provider)]}
    async with flow.build(backend, **options) as workflow:
        await source.publish(ConnectorEvent("e-1", "o-1", headers=headers))
        await collected.came("step <lambda>")
        (record,) = [run async for run in workflow.runs.find()]

    connector, trigger = collected.span("connector shop"), collected.span("trigger orders")
    assert f"{connector.context.trace_id:032x}" == trace_id
    assert is_child(trigger, connector)
    assert is_child(collected.span("step <lambda>"), trigger)
    assert record.foreign_id == "o-1"
    assert "o-1" not in "".join(s.to_json() for s in collected.exporter.get_finished_spans())


async def test_a_scheduled_run_begins_a_trace_at_its_slot(backend, collected):
    orders = three_steps()
    orders.add_schedule("@hourly", lambda slot: Order(), name="tick")
    options = {"observers": [OpenTelemetry(collected.provider)]}
    with collected.tracer.start_as_current_span("what started the worker"):
        async with Harness(orders, backend=backend, **options) as harness:
            await harness.advance(timedelta(hours=1))

    slot, step = collected.span("schedule tick"), collected.span("step charge")
    assert slot.parent is None
    assert is_child(step, slot)


async def test_runs_triggered_together_share_the_trigger(backend, collected):
    async with three_steps().build(backend, observers=[OpenTelemetry(collected.provider)]) as workflow:
        results = await workflow.trigger_many(Trigger(f"o-{n}", Order()) for n in range(3))
        for result in results:
            await workflow.await_status(result.run_id, Status.SENT, within=SOON)

    trigger = collected.span("trigger orders")
    assert all(is_child(span, trigger) for span in collected.spans("step charge"))
    assert len(collected.spans("step charge")) == 3


async def test_without_an_sdk_nothing_is_stored_and_everything_runs(backend):
    observers = [OpenTelemetry(trace.NoOpTracerProvider())]
    async with three_steps().build(backend, observers=observers) as workflow:
        run_id = await workflow.trigger("o-1", Order())
        await workflow.await_status(run_id, Status.SENT, within=SOON)
        record = await workflow.runs.record(run_id)

    assert record.meta.trace_parent == ""


async def test_two_tracers_are_refused(backend, collected):
    tracers = [OpenTelemetry(collected.provider), OpenTelemetry(collected.provider)]
    workflow = three_steps().build(backend, observers=tracers)

    with pytest.raises(DefinitionError, match="2 tracers"):
        await workflow.start()


async def test_a_collector_is_given_the_trace_over_http(backend):
    requests = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        provider = TracerProvider()
        address = f"http://127.0.0.1:{server.server_port}/v1/traces"
        provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(address)))
        try:
            async with three_steps().build(backend, observers=[OpenTelemetry(provider)]) as workflow:
                run_id = await workflow.trigger("o-1", Order())
                await workflow.await_status(run_id, Status.SENT, within=SOON)
        finally:
            provider.shutdown()
            server.shutdown()
            thread.join()

    spans = [
        span
        for _, request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    assert {path for path, _ in requests} == {"/v1/traces"}
    names = ["trigger orders", "step charge", "step pack", "step send", "run orders"]
    assert sorted(span.name for span in spans) == sorted(names)
    assert len({span.trace_id for span in spans}) == 1
