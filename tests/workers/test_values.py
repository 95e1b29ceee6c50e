"""States are collected and values decoded with as jobs, within the worker's home alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from prelogit.engine.load import Model
from prelogit.value.file import read_value, save_value
from prelogit.value.fit import Fitting
from prelogit.value.states import read_states
from prelogit.value.train import train_value
from tests.workers.conftest import DeskMaker
from tests.workers.stack import ended
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]
PROMPTS = ["Why?", "What is a whale?", "Tell me", "Tea"]


def test_collect_train_and_decode(
    store: Store, post: Post, make_desk: DeskMaker, model: Model, tmp_path: Path
) -> None:
    desk = make_desk(home=tmp_path)
    job_id, group_id = post(PROMPTS, method={"name": "collect", "value": "vowels", "n": 5})
    run_group(desk, group_id)
    collected = ended(store, job_id)
    assert [(one.status, one.samples) for one in collected] == [("succeeded", 5)] * 4
    states, source = read_states(tmp_path / "values" / "vowels")
    assert [max(one.rewards.tolist()) for one in states] == [one.reward for one in collected]
    assert (source.reward and source.reward.name, source.model) == ("moody", model.ref)
    trained = train_value("vowels", home=tmp_path, fitting=Fitting(epochs=3, width=8))
    job_id, group_id = post(PROMPTS, method={"name": "recontrol", "value": "vowels", "steps": 2})
    run_group(desk, group_id)
    for one in ended(store, job_id):
        assert (one.status, one.samples, one.iterations) == ("succeeded", 1, 1)
        assert one.kl.token_exact is not None
    net, header = read_value(trained.path)
    stranger = header.model.model_copy(update={"fingerprint": "of another"})
    save_value(trained.path, net, header.model_copy(update={"model": stranger}))
    job_id, group_id = post(PROMPTS, method={"name": "recontrol", "value": "vowels"})
    run_group(desk, group_id)
    for one in ended(store, job_id):
        assert one.status == "failed"
        assert "fingerprint of another" in str(one.error)


def test_a_path_is_no_name_for_a_worker_either(
    store: Store, post: Post, make_desk: DeskMaker, tmp_path: Path
) -> None:
    outside = tmp_path / "value.safetensors"
    outside.write_bytes(b"secret")
    for value in (str(outside), "../value.safetensors"):
        job_id, group_id = post(["Why?"], method={"name": "recontrol", "value": value})
        run_group(make_desk(home=tmp_path / "home"), group_id)
        (one,) = ended(store, job_id)
        assert one.status == "failed"
        assert "is no name of a value" in str(one.error)


def test_training_is_a_job_that_says_what_its_network_is_worth(
    store: Store, post: Post, make_desk: DeskMaker, model: Model, tmp_path: Path
) -> None:
    desk = make_desk(home=tmp_path)
    method = {"name": "train", "value": "vowels", "epochs": 3, "width": 8, "steps": 2}
    job_id, group_id = post(["Who?", "Then?"], method=method)
    run_group(desk, group_id)
    assert all("has no states" in str(one.error) for one in ended(store, job_id))
    _, group_id = post(PROMPTS, method={"name": "collect", "value": "vowels", "n": 5})
    run_group(desk, group_id)
    job_id, group_id = post(["Who?", "Then?"], method=method, seed=4)
    run_group(desk, group_id)
    trained = ended(store, job_id)
    assert [one.status for one in trained] == ["succeeded"] * 2
    net, header = read_value(tmp_path / "values" / "vowels" / "value.safetensors")
    assert (header.fitting["epochs"], header.fitting["seed"], net.width) == (3, 4, 8)
    assert len(header.curve) == 3
    told = {warning for one in trained for warning in one.warnings}
    assert any("tells nothing" in warning for warning in told) == (header.explained <= 0)
    decode = {"name": "recontrol", "value": "vowels", "steps": 2}
    job_id, group_id = post(["Who?", "Then?"], method=decode, seed=4)
    run_group(desk, group_id)
    assert [one.response for one in ended(store, job_id)] == [one.response for one in trained]
