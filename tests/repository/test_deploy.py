"""The dashboard and the alerts ask only for what a real scrape shows, in words that are understood."""

import json
import re
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stepgraph import Builder, Skip, UnavailableError
from stepgraph.adapters.memory import Memory
from stepgraph.adapters.prometheus import Prometheus
from stepgraph.adapters.prometheus.metrics import METRICS
from stepgraph.testing import Harness
from tests.adapters.test_prometheus import served
from tests.engine.test_steps import until
from tests.flows import Order, Status

ALERTS = Path("deploy/prometheus/alerts.yaml")
ALERT_TESTS = Path("deploy/prometheus/alerts_test.yaml")
DASHBOARD = Path("deploy/grafana/stepgraph.json")
PAGE = Path("docs/observability.md")
GIVEN_BY_THE_SCRAPE = {"instance", "le"}


def eventful():
    """A workflow in which everything happens that is counted."""
    orders = Builder("orders", Order, Status)

    @orders.step(Status.CREATED, to=[Status.PAID], pause_after_error_count=1)
    async def charge(run):
        if run.object.total:
            raise ValueError("no")
        return Skip()

    orders.add_step(Status.PAID, lambda run: Status.PACKED, to=[Status.PACKED])

    @orders.timeout(Status.CREATED, after=timedelta(hours=1), to=[Status.PAID])
    async def remind(run):
        return Status.PAID

    @orders.on(max_attempts=1)
    async def tell(change):
        raise RuntimeError("no")

    return orders


async def scraped(monkeypatch):
    """Return every sample of a real scrape as (name, label names)."""
    backend, metrics = Memory(), Prometheus()
    async with Harness(eventful(), backend=backend, observers=[metrics]) as harness:
        await harness.trigger("waits", Order())
        await harness.trigger("fails", Order(1))
        await harness.advance(timedelta(hours=2))
        for port, method in [("record_store", "commit"), ("record_store", "lookup_many")]:
            await fail_once(harness, getattr(backend, port), method, monkeypatch)
        await harness.workflow.opened().instance.counter.count()
        with served(metrics.registry) as scrape:
            families = list(text_string_to_metric_families(scrape()))
    return {(s.name, frozenset(s.labels)) for family in families for s in family.samples}


async def fail_once(harness, port, method, monkeypatch):
    """Let a call of the store fail once, and wait until it did and all is well again."""
    original, errors = getattr(port, method), [UnavailableError("away")]

    async def fails(*arguments):
        if errors:
            raise errors.pop()
        return await original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(port, method, fails)
        await harness.trigger(f"while {method} fails", Order(), status=Status.CREATED)

        async def left():
            harness.workflow.opened().wake()
            return errors

        await until(left, lambda errors: not errors)
        await harness.settle()


def rules():
    """Return the alerts."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def expressions():
    """Return every expression of the alerts and the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    targets = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [rule["expr"] for rule in rules()] + targets


def test_every_metric_is_asked_for_somewhere_and_documented():
    asked = " ".join(expressions())
    page = PAGE.read_text()

    assert [m.name for m in METRICS if m.name not in asked] == []
    for metric in METRICS:
        labels = ", ".join(metric.labels) or "none"
        name = metric.name + ("_total" if metric.kind == "counter" else "")
        assert f"| `{name}` | {metric.kind} | {labels} | {metric.help} |" in page


async def test_a_real_scrape_shows_every_metric_and_label_that_is_asked_for(monkeypatch):
    shown = await scraped(monkeypatch)

    names = {name for name, _ in shown}
    labels = {label for _, found in shown for label in found} | GIVEN_BY_THE_SCRAPE
    for expression in expressions():
        asked = set(re.findall(r"\bworkflow_(?!name\b)\w+", expression))
        assert asked, expression
        assert asked <= names, expression
        grouped = {x.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for x in by.split(",")}
        matched = {x for braces in re.findall(r"{([^}]*)}", expression) for x in re.findall(r"(\w+)[=!]", braces)}
        assert grouped | matched <= labels, expression


def test_the_alerts_say_what_to_do():
    for rule in rules():
        assert rule["alert"].startswith("Stepgraph")
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}
        page = PAGE.read_text()
        assert f"`{rule['alert']}`" in page


@pytest.mark.parametrize("expression", expressions())
def test_expressions_are_balanced(expression):
    stack, closing = [], {")": "(", "]": "[", "}": "{"}
    for sign in re.sub(r'"[^"]*"', "", expression):
        if sign in "([{":
            stack.append(sign)
        elif sign in closing:
            assert stack.pop() == closing[sign]
    assert stack == []


def test_the_dashboard_has_a_place_for_each_panel():
    dashboard = json.loads(DASHBOARD.read_text())
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for place in places
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(places)
    assert all(panel.get("description") for panel in dashboard["panels"] if panel["type"] != "row")


def test_promtool_understands_them_where_it_is_installed(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        # Debian has it in the package "prometheus"; the names are checked above in any case.
        return
    asked = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions())
    ]
    panels = tmp_path / "panels.yaml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    for command in (
        ["check", "rules", str(ALERTS), str(panels)],
        ["test", "rules", str(ALERT_TESTS)],
    ):
        result = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
