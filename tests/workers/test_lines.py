"""What worker and reward service log of a job can be read together, as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.workers import moody
from tests.workers.forked import service
from tests.workers.processes import Child, environment, free_port, until
from tests.workers.stack import running_stack


def test_every_line_is_json_and_says_what_it_is_about(
    tmp_path: Path, model_folder: str, fresh_sqlite: str
) -> None:
    with running_stack(tmp_path, model_folder, fresh_sqlite) as stack:
        port = free_port()
        hosted = [{"name": "moody", "kind": "function", "path": "tests.workers.moody:score"}]
        env = environment(rewards=json.dumps(hosted), reward_port=port, log_format="json")
        rewards = service(
            "reward_service", tmp_path / "json.log", {**env, moody.FOLDER: str(tmp_path)}
        )
        try:
            rewards.until_said("is loaded")
            worker = stack.worker(log_format="json", reward_url=f"http://127.0.0.1:{port}")
            good = stack.post(["Why?", {"id": "p 2", "prompt": "Who?"}])
            stack.ended(good)
            stack.reward.mood.set("raise")
            bad = stack.post(["Why?"])
            stack.ended(bad)
            until(lambda: "bad mood" in rewards.said, "the reward service told of it")
            assert worker.end() == 0
        finally:
            rewards.kill()
    told = lines(worker)
    assert all(line["process"] == "worker" for line in told)
    rounds = [line for line in told if line["message"].startswith("iteration ")]
    assert {(line["job"], line["prompt"]) for line in rounds} == {(good, "p1"), (good, "p 2")}
    assert {line["iteration"] for line in rounds} >= {1, 2, 3}
    ends = {(line["job"], line["prompt"]) for line in told if line["message"].startswith("ended ")}
    assert ends == {(good, "p1"), (good, "p 2"), (bad, "p1")}
    claims = [line["job"] for line in told if line["message"].startswith("claimed ")]
    assert set(claims) == {good, bad}
    (failed,) = [line for line in lines(rewards) if "bad mood" in line["message"]]
    assert (failed["job"], failed["prompt"], failed["iteration"]) == (bad, "p1", 1)
    assert failed["request_id"]
    assert failed["process"] == "reward"


def lines(child: Child) -> list[dict[str, Any]]:
    return [json.loads(line) for line in child.said.splitlines()]
