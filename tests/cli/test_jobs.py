"""Commands for a job: status, results, trace, export, cancel, retry, delete."""

from __future__ import annotations

import csv
import io
import json
import sys
import threading
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from db import probes
from prelogit import Client
from prelogit.cli.watching import best_so_far
from tests.cli.conftest import Run
from tests.client.gateway import Gateway
from tests.db.test_probes import FIRST
from tests.workers.processes import until


@pytest.fixture
def ended(run: Run, gateway: Gateway) -> str:
    """The id of a job with two answers."""
    done = run(
        "submit", "-p", "Why?", "-p", "How?", "--baseline", "bon", "--iterations", "1", "--json"
    )
    gateway.worker.run_all()
    return str(done.json["id"])


def test_status_shows_a_job(run: Run, ended: str) -> None:
    shown = run("status", ended)
    assert shown.code == 0
    for part in (ended, "succeeded", "2 (2 succeeded)"):
        assert part in shown.out
    assert run("status", ended, "--json").json["counts"]["succeeded"] == 2
    listed = run("jobs")
    assert ended in listed.out
    assert run("jobs", "--status", "failed", "--json").json == []


def test_status_shows_what_the_probe_warns_of(run: Run, ended: str, gateway: Gateway) -> None:
    assert "warning" not in run("status", ended).out
    with gateway.worker.store.begin() as session:
        probes.report(session, ended, FIRST.model_copy(update={"warnings": ("[red] hot", "two")}))
        second = FIRST.model_copy(update={"warnings": ("three",)})
        probes.report(session, ended, second, held_out=True)
    shown = run("status", ended).out.splitlines()
    told = [line.split(maxsplit=1)[1].strip() for line in shown if line.startswith("warning")]
    assert told == ["reward: [red] hot", "reward: two", "held-out reward: three"]
    assert run("status", ended, "--json").json["probe"]["reward"] == "relevance"


def test_watching_ends_with_the_job(run: Run, gateway: Gateway) -> None:
    def when_posted() -> None:
        with Client(gateway.url) as client:
            until(lambda: any(True for _ in client.jobs()), "the job is posted")
        gateway.worker.run_all()

    later = threading.Thread(target=when_posted)
    later.start()
    done = run("submit", "-p", "a", "--watch")
    later.join()
    assert done.code == 0
    assert "succeeded" in done.out
    assert "queued: 0 of 1 prompts ended" in done.err


def test_status_says_why_prompts_failed(run: Run, gateway: Gateway) -> None:
    prompts = [f"a{place}" for place in range(4)]
    job = run("submit", *(word for prompt in prompts for word in ("-p", prompt)), "--json").json
    (claim,) = gateway.worker.claim_all()
    for place in range(1, 5):
        gateway.worker.fail(claim, f"p{place}", f"[red] reason {place}")
    shown = run("status", str(job["id"])).out
    for place in range(1, 4):
        assert f"prompts.p{place}: [red] reason {place}" in shown
    assert "reason 4" not in shown
    assert f"prelogit results {job['id']}" in shown


def test_watching_a_job_that_fails_ends_with_1(run: Run, gateway: Gateway) -> None:
    job = run("submit", "-p", "a", "--json").json["id"]
    (claim,) = gateway.worker.claim_all()
    gateway.worker.fail(claim, "p1", "the reward was NaN")
    assert run("status", job, "--watch", "--json").code == 1
    shown = run("results", job)
    assert shown.code == 0
    assert "the reward was NaN" in shown.out


def test_the_reward_so_far_counts_running_prompts(run: Run, gateway: Gateway) -> None:
    with Client(gateway.url) as client:
        handle = client.submit(["a", "b"])
        assert best_so_far(handle, handle.job) is None
        (claim,) = gateway.worker.claim_all()
        gateway.worker.iterate(claim, "p1", 1)
        gateway.worker.iterate(claim, "p1", 2)
        assert best_so_far(handle, handle.refresh()) == 2.5
        gateway.worker.iterate(claim, "p2", 1)
        assert best_so_far(handle, handle.refresh()) == 2.0


def test_results_in_every_form(run: Run, ended: str) -> None:
    table = run("results", ended)
    assert table.code == 0
    assert "the answer to p1" in table.out
    lines = run("results", ended, "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["prompt_id"] for line in lines] == ["p1", "p2"]
    rows = list(csv.DictReader(io.StringIO(run("results", ended, "--format", "csv").out)))
    assert [row["response"] for row in rows] == ["the answer to p1", "the answer to p2"]
    assert "bon expected_margin" in rows[0]
    assert {row["reward_per_token"] for row in rows} == {"0.15"}
    assert {row["reward_per_second"] for row in rows} == {"0.6"}
    assert [one["index"] for one in run("results", ended, "--json").json] == [0, 1]


def test_a_trace_as_table_json_and_picture(run: Run, ended: str, tmp_path: Path) -> None:
    table = run("trace", ended, "p1")
    assert table.code == 0
    assert "lambda" in table.out
    assert run("trace", ended, "p1", "--json").json["iterations"][0]["lambda"] == 0.3
    picture = tmp_path / "out.png"
    assert run("trace", ended, "p1", "--plot", str(picture)).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    wrong = run("trace", ended, "p1", "--plot", str(tmp_path / "out.nothing"))
    assert wrong.code == 2
    assert "cannot be written" in wrong.err


def test_a_picture_without_matplotlib_tells_what_to_install(
    run: Run, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    done = run("trace", ended, "p1", "--plot", "out.png")
    assert done.code == 2
    assert "prelogit[plot]" in done.err


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_export_writes_datasets(run: Run, ended: str, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"out.{suffix}"

    def rows() -> list[dict[str, object]]:
        if suffix == "parquet":
            return list(pq.read_table(file).to_pylist())
        return [json.loads(line) for line in file.read_text().splitlines()]

    done = run("export", ended, "--as", "sft", "--to", str(file))
    assert done.code == 0
    assert "wrote 2 rows" in done.out
    assert rows()[0] == {
        "messages": [
            {"role": "user", "content": "Why?"},
            {"role": "assistant", "content": "the answer to p1"},
        ]
    }
    told = run("export", ended, "--as", "alpaca", "--to", str(file), "--json").json
    assert told == {"file": str(file), "rows": 2, "prompts": 2}
    assert rows()[1]["instruction"] == "How?"


def test_a_job_that_shows_a_part_of_its_prompts_is_exported_whole(
    run: Run, ended: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.prompt_pages.SHOWN_PROMPTS", 1)
    assert len(run("status", ended, "--json").json["request"]["prompts"]) == 1
    file = tmp_path / "out.jsonl"
    assert run("export", ended, "--as", "alpaca", "--to", str(file), "--json").json["rows"] == 2
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["instruction"] for row in rows] == ["Why?", "How?"]


def test_a_preference_needs_two_candidates(run: Run, gateway: Gateway, tmp_path: Path) -> None:
    job = run("submit", "-p", "a", "-p", "b", "--keep", "all", "--json").json["id"]
    (claim,) = gateway.worker.claim_all()
    gateway.worker.iterate(claim, "p1", 1)
    file = tmp_path / "out.jsonl"
    refused = run("export", job, "--as", "preference", "--to", str(file))
    assert refused.code == 2
    assert 'keep "all"' in refused.err
    assert not file.exists()

    gateway.worker.iterate(claim, "p1", 2)
    done = run("export", job, "--as", "preference", "--to", str(file))
    assert done.code == 0
    assert "1 of 2 prompts give none" in done.out
    row = json.loads(file.read_text())
    assert row["prompt"] == [{"role": "user", "content": "a"}]
    assert row["chosen"] == [{"role": "assistant", "content": "answer 2"}]
    assert (row["score_chosen"], row["score_rejected"]) == (2.5, 1.5)


def test_an_export_without_any_answer_leaves_no_file(run: Run, tmp_path: Path) -> None:
    job = run("submit", "-p", "a", "--json").json["id"]
    done = run("export", job, "--as", "sft", "--to", str(tmp_path / "out.jsonl"))
    assert done.code == 2
    assert "nothing to export" in done.err
    assert run("export", job, "--as", "sft", "--to", "out.csv").code == 2
    assert not (tmp_path / "out.jsonl").exists()


def test_cancel_retry_and_delete(run: Run) -> None:
    job = run("submit", "-p", "a", "--json").json["id"]
    assert run("delete", job).code == 1
    assert run("cancel", job, "--json").json["status"] == "cancelled"
    assert run("retry", job, "--json").json["status"] == "queued"
    assert "cancelled" in run("cancel", job).out
    assert run("delete", job, "--json").json == {"id": job, "deleted": True}
    gone = run("status", job)
    assert gone.code == 1
    assert "not known here" in gone.err
