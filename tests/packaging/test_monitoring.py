"""Dashboard, alerts and page name only metrics and labels that the three processes really have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import promql_parser
import pytest
import yaml
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

import reward_service.app
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.telemetry.metrics import exposed
from reward_service.settings import RewardSettings
from tests.api.conftest import (
    Start,
    model_folder,
    other_model,
    own_valkey,
    start,
)
from tests.api.conftest import (
    reward_service as reward_process,
)
from tests.api.running import Running, Valkey
from tests.packaging.pages import DOCS, read
from workers.metrics import Metrics

__all__ = ["model_folder", "other_model", "own_valkey", "reward_process", "start"]

FOLDER = DOCS / "monitoring"
SAMPLES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
# Prometheus' own, and what it adds to every sample.
OTHERS, ADDED = {"up"}, {"job", "instance", "le"}


@pytest.fixture
def store_url(fresh_sqlite: str) -> str:
    return fresh_sqlite


@pytest.fixture(name="reward_service")
def _reward_service(reward_process: Any) -> Any:
    return reward_process


def families(text: str) -> dict[str, set[str]]:
    """The labels of every sample's name, by that name; of metrics without samples none."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for ending in SAMPLES.get(family.type, ("",)):
            found.setdefault(f"{family.name}{ending}", set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture
async def real(start: Start, own_valkey: Valkey) -> dict[str, set[str]]:
    """What the processes expose."""
    gateway: Running = start(redis_url=own_valkey.url)
    gateway.job()
    gateway.get("/metrics")
    worker = exposed(Metrics(RowsLimit(4)).registry).body.decode()
    rewards: FastAPI = reward_service.app.create_app(RewardSettings(_env_file=None))
    transport = httpx.ASGITransport(rewards)
    async with httpx.AsyncClient(transport=transport, base_url="http://rewards") as http:
        await http.get("/health/live")
    found: dict[str, set[str]] = {}
    own = exposed(rewards.state.metrics.registry).body.decode()
    for text in (gateway.get("/metrics").text, worker, own):
        for name, labels in families(text).items():
            found.setdefault(name, set()).update(labels)
    return found


def expressions(document: Any) -> Iterator[str]:
    """Every query of a dashboard or of rules."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key == "expr":
                yield value
            else:
                yield from expressions(value)
    elif isinstance(document, list):
        for one in document:
            yield from expressions(one)


def named(expression: str) -> tuple[set[str], set[str]]:
    """The metrics and the labels that a query names. Raises: ValueError: it is no PromQL."""
    metrics, labels = set[str](), set[str]()

    def see(one: promql_parser.Expr) -> None:
        match one:
            case promql_parser.VectorSelector():
                metrics.add(one.name or "")
                labels.update(matcher.name for matcher in one.matchers.matchers)
            case promql_parser.MatrixSelector():
                see(one.vector_selector)
            case promql_parser.AggregateExpr() if one.modifier is not None:
                labels.update(one.modifier.labels)
            case promql_parser.BinaryExpr() if one.modifier is not None:
                if one.modifier.matching is not None:
                    labels.update(one.modifier.matching.labels)

    promql_parser.walk(promql_parser.parse(expression.replace("$__rate_interval", "5m")), see)
    return metrics, labels


FILES = {
    "grafana.json": lambda: json.loads(read(FOLDER / "grafana.json")),
    "alerts.yml": lambda: yaml.safe_load(read(FOLDER / "alerts.yml")),
}


@pytest.mark.parametrize("file", FILES)
def test_every_query_names_what_there_is(file: str, real: dict[str, set[str]]) -> None:
    found = list(expressions(FILES[file]()))
    assert len(found) > 10
    for expression in found:
        metrics, labels = named(expression)
        assert metrics, expression
        assert metrics <= set(real) | OTHERS, f"{expression}: {metrics - set(real)}"
        known = ADDED.union(*(real.get(metric, set()) for metric in metrics))
        assert labels <= known, f"{expression}: {labels - known}"


def test_the_page_tells_of_every_metric_with_its_labels(real: dict[str, set[str]]) -> None:
    told = {
        name: set(labels.strip("{}").split(", ")) - {""}
        for name, labels in re.findall(
            r"`(prelogit_\w+)(\{[\w, ]+\})?`", read(DOCS / "monitoring.md")
        )
    }
    wanted = {
        re.sub(r"_(bucket|count|sum)$", "", name): labels - {"le"}
        for name, labels in real.items()
        if name.startswith("prelogit_") and not name.endswith(("_created", "_sum", "_count"))
    }
    assert told == wanted


def test_a_dashboard_that_grafana_can_place() -> None:
    panels = FILES["grafana.json"]()["panels"]
    ids = [panel["id"] for panel in panels]
    assert len(ids) == len(set(ids))
    taken = set[tuple[int, int]]()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert all(x < 24 for x, _ in cells)
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["type"] == "row" or panel["description"]


def test_the_example_reads_every_process_and_the_rules() -> None:
    told = yaml.safe_load(read(FOLDER / "prometheus.yml"))
    ports = [
        job["static_configs"][0]["targets"][0].rpartition(":")[2] for job in told["scrape_configs"]
    ]
    assert ports == ["8000", "9100", "8100"]
    assert all((FOLDER / name).is_file() for name in told["rule_files"])
    assert all(job["job_name"].startswith("prelogit") for job in told["scrape_configs"])


def test_every_alert_says_what_is_wrong() -> None:
    rules = [rule for group in FILES["alerts.yml"]()["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["annotations"]["summary"]
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_every_alert_has_a_case_in_which_it_is_raised_and_one_in_which_it_is_silent() -> None:
    rules = [rule for group in FILES["alerts.yml"]()["groups"] for rule in group["rules"]]
    told: dict[str, list[bool]] = {rule["alert"]: [] for rule in rules}
    summary = {rule["alert"]: rule["annotations"]["summary"].partition("{{")[0] for rule in rules}
    for case in yaml.safe_load(read(FOLDER / "alerts.test.yml"))["tests"]:
        for one in case["alert_rule_test"]:
            raised = one.get("exp_alerts", [])
            told[one["alertname"]].append(bool(raised))
            begun = summary[one["alertname"]]
            assert all(a["exp_annotations"]["summary"].startswith(begun) for a in raised)
    assert all(set(cases) == {True, False} for cases in told.values()), told


@pytest.mark.parametrize("wrong", ["sum(rate(a[5m])", "rate(a)", "a ~ b", "sum by a (b)"])
def test_a_wrong_query_would_be_found(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        named(wrong)
