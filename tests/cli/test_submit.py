"""``prelogit submit``: what becomes of files and options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prelogit.wire.params import AISP, BestOfN, Greedy, Sample, SoftBestOfN
from tests.cli.conftest import Run
from tests.client.gateway import Gateway


def posted(run: Run, *arguments: str, **more: Any) -> dict[str, Any]:
    """The request of the job that the command posts."""
    done = run("submit", *arguments, "--json", **more)
    assert done.code == 0, done.err
    request = done.json["request"]
    assert isinstance(request, dict)
    return request


def test_prompts_come_from_the_command_line_a_file_or_a_pipe(run: Run, tmp_path: Path) -> None:
    lines = '{"id": "x", "prompt": "one"}\n{"prompt": "two"}\n'
    file = tmp_path / "a.jsonl"
    file.write_text(lines)
    wanted = [("x", "one"), ("p2", "two")]
    for arguments, more in (((str(file),), {}), (("-",), {"stdin": lines})):
        prompts = posted(run, *arguments, **more)["prompts"]
        assert [(item["id"], item["prompt"]) for item in prompts] == wanted
    prompts = posted(run, "-p", "one", "--prompt", "two")["prompts"]
    assert [item["prompt"] for item in prompts] == ["one", "two"]
    assert len(posted(run, "-", stdin="one\r\n\ntwo")["prompts"]) == 2


def test_a_large_file_is_posted_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    rows = [{"id": f"q{place}", "prompt": f"question {place}"} for place in range(1200)]
    file.write_text("\n".join(json.dumps(row) for row in [*rows, rows[3]]))
    wrong = run("submit", str(file))
    assert wrong.code == 2
    assert "line 1201: the id 'q3' stands in line 4 already" in wrong.err
    assert run("jobs", "--json").json == []
    file.write_text("\n".join(map(json.dumps, rows)))
    done = run("submit", str(file), "--json").json
    assert done["counts"]["total"] == 1200
    assert done["request"]["prompts"][-1]["id"] == "q999"


def test_every_field_of_the_methods_has_an_option(run: Run) -> None:
    values = {
        "n": 4,
        "iterations": 2,
        "lambda": 0.25,
        "sigma2": 0.4,
        "alpha": 0.99,
        "variance": "fixed",
        "proposal": "mean",
        "window": 3,
        "horizon": 2,
        "batch_size": 2,
        "preset": "paper",
        "noise": "gaussian",
        "temperature": 0.7,
        "heat": 1.5,
        "top_p": 0.8,
    }
    for params in (AISP, BestOfN, SoftBestOfN, Greedy, Sample):
        names = {field.alias or name for name, field in params.model_fields.items()} - {"name"}
        assert names <= set(values)
        options = [
            part for name in names for part in (f"--{name.replace('_', '-')}", str(values[name]))
        ]
        name = params.model_fields["name"].default
        method = posted(run, "-p", "a", "--method", name, *options)["method"]
        assert method == {"name": name, **{key: values[key] for key in names}}


def test_every_other_field_of_a_job_has_an_option(run: Run, gateway: Gateway) -> None:
    model = gateway.running.settings.model
    request = posted(
        run, "-p", "a", "--model", model, "--reward", "relevance", "--baseline", "bon",
        "--baseline", "bon:gaussian", "--baseline", "soft_bon:lambda=0.5,n=9,gaussian",
        "--baseline", "sample:temperature=1", "--baseline", "greedy", "--max-new-tokens", "9", "--seed", "3", "--keep", "all",
        "--top-k", "2", "--template", "none", "--stop-reward", "1.5", "--stop-plateau", "2",
        "--stop-samples", "96", "--stop-seconds", "60", "--stop-tokens", "500", "--metadata", "team=x=y",
        "--held-out-reward", "other", "--stop-held-out", "2", "--stop-kl", "30",
        "--webhook", "https://example.com/hook", "--webhook-event", "job.started", "--webhook-event",
        "prompt.ended",
    )  # fmt: skip
    first, second, soft, sample, greedy = request["baselines"]
    assert [(one["name"], one["noise"]) for one in (first, second, soft)] == [
        ("bon", None),
        ("bon", "gaussian"),
        ("soft_bon", "gaussian"),
    ]
    assert (soft["lambda"], soft["n"]) == (0.5, 9)
    assert (sample["name"], sample["temperature"], sample["n"]) == ("sample", 1, second["n"])
    assert greedy["name"] == "greedy"
    assert request["stop"] == {
        "reward": 1.5,
        "plateau": 2,
        "samples": 96,
        "seconds": 60.0,
        "tokens": 500,
        "held_out": 2,
        "kl": 30.0,
    }
    assert request["held_out"] == {"name": "other"}
    assert request["metadata"] == {"team": "x=y"}
    events = ["job.started", "prompt.ended"]
    assert request["webhook"] == {"url": "https://example.com/hook", "events": events}
    chosen = ("model", "max_new_tokens", "seed", "keep", "top_k", "template")
    assert [request[name] for name in chosen] == [model, 9, 3, "all", 2, "none"]


def test_a_webhook_is_told_of_the_end_unless_events_are_named(run: Run) -> None:
    hook = posted(run, "-p", "a", "--webhook", "https://example.com/hook")["webhook"]
    assert hook == {"url": "https://example.com/hook", "events": ["job.ended"]}
    refused = run("submit", "-p", "a", "--webhook", "http://127.0.0.1/hook")
    assert refused.code == 1
    assert "PRELOGIT_WEBHOOK_URLS" in refused.err
    assert "webhook" in refused.err


def test_without_json_the_id_alone_is_printed(run: Run) -> None:
    done = run("submit", "-p", "a")
    assert done.code == 0
    assert done.out.startswith("job_")
    assert len(done.out.split()) == 1


def test_the_same_key_gives_the_same_job(run: Run) -> None:
    first = run("submit", "-p", "a", "--idempotency-key", "k").out
    assert run("submit", "-p", "a", "--idempotency-key", "k").out == first
    other = run("submit", "-p", "b", "--idempotency-key", "k")
    assert other.code == 1
    assert "Idempotency-Key" in other.err


def test_an_estimate_posts_nothing(run: Run) -> None:
    done = run("submit", "-p", "a", "--n", "4", "--iterations", "1", "--estimate")
    assert done.code == 0
    assert "candidates: 8" in done.out
    bad = run("submit", "-p", "a", "--model", "other", "--estimate")
    assert bad.code == 1
    assert "model" in bad.err
    assert run("jobs", "--json").json == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "FILE"),
        (("a.jsonl", "-p", "a"), "FILE"),
        (("-p", ""), "prompt is empty"),
        (("-p", "a", "--sigma2", "-1"), "--sigma2"),
        (("-p", "a", "--alpha", "1"), "--alpha"),
        (("-p", "a", "--lambda", "much"), "--lambda"),
        (("-p", "a", "--n", "x"), "--n"),
        (("-p", "a", "--method", "best"), "--method"),
        (("-p", "a", "--method", "bon", "--alpha", "0.9"), "has no such option"),
        (("-p", "a", "--preset", "paper", "--lambda", "auto"), "Algorithm 1"),
        (("-p", "a", "--baseline", "aisp"), "--baseline"),
        (("-p", "a", "--baseline", "aisp"), "none of bon, soft_bon, greedy"),
        (("-p", "a", "--baseline", "bon:white"), "noise: Input should be 'gaussian'"),
        (("-p", "a", "--baseline", "greedy:n=3"), "has no such"),
        (("-p", "a", "--baseline", "soft_bon:lambda=-1"), "greater than 0"),
        (("-p", "a", "--baseline", "recontrol"), "value"),
        (("-p", "a", "--metadata", "team"), "KEY=VALUE"),
        (("-p", "a", "--webhook-event", "job.ended"), "needs --webhook URL"),
        (("none.jsonl",), "there is no such file"),
    ],
)
def test_wrong_use_ends_with_2_and_says_why(
    bare: Run, arguments: tuple[str, ...], told: str
) -> None:
    done = bare("submit", *arguments)
    assert done.code == 2
    assert told in done.err
    assert "Traceback" not in done.err


def test_what_the_gateway_refuses_is_told_in_its_words(run: Run) -> None:
    done = run("submit", "-p", "a", "--model", "other", "--keep", "some")
    assert done.code == 1
    assert "keep" in done.err
    told = json.loads(run("submit", "-p", "a", "--model", "other", "--json").err)
    assert "model" in told["error"]
    assert told["problem"]["status"] == 422


def test_a_file_with_too_many_prompts_says_the_limit_and_the_cure(
    bare: Run, tmp_path: Path, model_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Gateway(tmp_path, model_folder, max_prompts=3, max_body_bytes=1024)
    monkeypatch.setenv("PRELOGIT_URL", small.url)
    file = tmp_path / "many.txt"
    try:
        file.write_text("a\n" * 4)
        done = bare("submit", str(file))
        assert done.code == 1
        for part in ("at most 3", "4 prompts", "split"):
            assert part in done.err
        file.write_text("a prompt of some length\n" * 100)
        assert "split" in bare("submit", str(file)).err
    finally:
        small.running.stop()


def test_no_gateway_is_told_with_the_cure(bare: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELOGIT_URL", "http://127.0.0.1:9")
    done = bare("submit", "-p", "a")
    assert done.code == 1
    assert "prelogit up" in done.err
