"""A model split among processes decodes as the whole one, and ends as one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, GPT2Config, LlamaConfig

from prelogit.core.errors import DeviceError, ModelError
from prelogit.engine.likelihood import response_nll
from prelogit.engine.load import Model, load_model
from prelogit.engine.tensor_parallel import team as parallel
from prelogit.engine.tensor_parallel.followers import Followers, listen
from prelogit.search.plan import NoiseKey, Plan, SearchId, TopK, TopP
from tests import tiny
from tests.engine.conftest import FAMILIES, SIZES
from tests.engine.test_pause import prompt_ids, run
from tests.engine.test_spread import decode
from tests.workers.processes import Child, environment, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(torch.accelerator.is_available(), reason="one GPU a process is needed"),
]


def save(config: Any, folder: Path) -> str:
    tiny.language_model(config).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return str(folder)


def followers_of(pid: int) -> list[int]:
    """Process ids of a leader's followers."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_text()
        except (OSError, IndexError):
            continue
        if parent == str(pid) and "prelogit.engine.tensor_parallel.follower" in command:
            found.append(int(folder.name))
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(LlamaConfig(**SIZES), tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> str:
    config: Gemma2Config = FAMILIES["gemma2-softcaps"]
    return save(config, tmp_path_factory.mktemp("gemma"))


@pytest.fixture
def split(folder: str) -> Iterator[Model]:
    model = load_model(folder, device="cpu", dtype="float32", tensor_parallel=2)
    yield model
    model.close()


def assert_same(whole: Model, split: Model) -> None:
    """Logits to 1e-4, and the tokens, u . v and KL of two plans decoded together."""
    assert split.fingerprint == whole.fingerprint
    for ids in ([7, 8, 9], list(range(1, 200)) * 10):  # the second takes two messages
        with torch.inference_mode():
            noise = torch.randn(1, whole.dim)
            want = whole.head.logits(whole.decoder.prefill(ids).hidden, noise)
            got = split.head.logits(split.decoder.prefill(ids).hidden, noise)
        assert torch.allclose(got, want, rtol=0, atol=1e-4)
    texts = [[7, 9, 11], list(range(3, 30))]
    want_nll, got_nll = (response_nll(one, [7, 8, 9], texts) for one in (whole, split))
    assert got_nll == pytest.approx(want_nll, rel=1e-4)
    want_all, got_all = decode(whole), decode(split)
    for prompt, (tokens, dot) in want_all.items():
        assert torch.equal(got_all[prompt][0], tokens)
        assert torch.allclose(got_all[prompt][1], dot)


def test_two_processes_decode_as_one(folder: str, split: Model) -> None:
    assert split.attention == "shared"
    assert not any(type(child).__name__ == "PackedLinear" for child in split.module.modules())
    whole = load_model(folder, device="cpu", dtype="float32")
    for pid in followers_of(os.getpid()):  # what a terminal or a stop sends to all of them
        os.kill(pid, signal.SIGINT)
        os.kill(pid, signal.SIGTERM)
    assert_same(whole, split)
    assert_same(whole, split)  # prompts and groups of the first time are forgotten


def test_rows_pause_for_answers_in_all_processes(folder: str, split: Model) -> None:
    whole = load_model(folder, device="cpu", dtype="float32")
    plans = {
        SearchId("1"): Plan(3, None, TopK(4), 6),
        SearchId("2"): Plan(2, None, TopK(3), 6),
        SearchId("3"): Plan(2, None, TopP(0.9, 0.9, NoiseKey(1, "3", 1)), 9),
    }
    told = []
    for model in (whole, split):
        engine = model.engine()
        for prompt in range(4):
            engine.admit(str(prompt), prompt_ids(prompt))
        told.append(run(engine, plans, patience=lambda: 2))
    for search in plans:
        assert torch.equal(told[0][search].token_ids, told[1][search].token_ids)


def test_a_model_closed_is_told_and_another_can_be_loaded(folder: str, gemma: str) -> None:
    first = load_model(folder, device="cpu", dtype="float32", tensor_parallel=2, attention="sdpa")
    with pytest.raises(ModelError, match="one tensor-parallel model a process"):
        load_model(folder, device="cpu", dtype="float32", tensor_parallel=2)
    pids = followers_of(os.getpid())
    assert len(pids) == 1
    assert first.attention == "sdpa"
    assert torch.equal(
        decode(first)["long"][0],
        decode(load_model(folder, device="cpu", dtype="float32"))["long"][0],
    )
    first.close()
    first.close()
    assert not alive(pids[0])
    assert first.team is not None
    assert first.team.followers is not None
    assert "exit status 0" in first.team.followers.gone()
    with pytest.raises(DeviceError, match="closed"):
        first.decoder.prefill([1, 2, 3])
    second = load_model(
        gemma, device="cpu", dtype="float32", tensor_parallel=2
    )  # caps, windows, tied weights
    assert_same(load_model(gemma, device="cpu", dtype="float32"), second)
    second.close()


@torch.inference_mode()
def call_until_it_fails(model: Model, hidden: torch.Tensor) -> None:
    for _ in range(100):
        model.head.logits(hidden)


def test_a_follower_that_dies_is_told_and_ends_the_model(split: Model) -> None:
    told: list[str] = []
    split.on_loss(told.append)
    (pid,) = followers_of(os.getpid())
    prefix = split.decoder.prefill([1, 2, 3])
    os.kill(pid, signal.SIGKILL)
    for _ in range(2):  # at once and ever after
        with pytest.raises(DeviceError, match="exit status -9"):
            call_until_it_fails(split, prefix.hidden)
    until(lambda: told, "the loss is reported")


def test_a_leader_that_is_killed_takes_its_followers_along(folder: str, tmp_path: Path) -> None:
    script = (
        "import sys, time; from prelogit.engine.load import load_model\n"
        f"load_model({folder!r}, device='cpu', dtype='float32', tensor_parallel=2)\n"
        "print('loaded', flush=True); time.sleep(600)"
    )
    leader = Child([sys.executable, "-c", script], tmp_path / "log", environment())
    leader.until_said("loaded")
    (pid,) = followers_of(leader.pid)
    leader.kill()
    until(lambda: not alive(pid), "the follower has ended")


def test_a_follower_that_waits_ends_when_its_pipe_closes(folder: str) -> None:
    store, port = listen(2, timedelta(minutes=5))
    call = {"name": folder, "device": "cpu", "dtype": "float32", "tensor_parallel": 2}
    followers = Followers(2, port, 0, call)
    until(lambda: store.check(["here/1"]), "it waits for the leader")
    assert followers.gone() == ""
    (pid,) = followers_of(os.getpid())
    followers.let_go()
    until(lambda: not alive(pid), "it has ended")
    assert "exit status 1" in followers.gone(patience_seconds=60.0)
    followers.end(patience_seconds=0.0)


def test_under_torchrun_rank_0_comes_back_alone(folder: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from prelogit.engine.load import load_model\n"
        "from tests.engine.test_spread import decode\n"
        f"model = load_model({folder!r}, device='cpu', dtype='float32', tensor_parallel=2)\n"
        "print(decode(model)['long'][0].tolist())\n"
    )
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
    ]
    done = subprocess.run(
        [*command, script],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole = load_model(folder, device="cpu", dtype="float32")
    assert done.stdout.strip() == str(decode(whole)["long"][0].tolist())


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"tensor_parallel": 4}, "num_key_value_heads, 2: choose a divisor"),
        ({"tensor_parallel": 3}, "num_attention_heads, 8: choose a divisor"),
        ({"tensor_parallel": 0}, "at least 1"),
        ({"tensor_parallel": 2, "device_map": "auto"}, "set one of them"),
    ],
)
def test_what_cannot_be_split_is_told(options: dict[str, Any], cure: str, folder: str) -> None:
    with pytest.raises(ModelError, match=cure):
        load_model(folder, device="cpu", dtype="float32", **options)


def test_an_architecture_without_a_plan_is_told(tmp_path: Path) -> None:
    config: GPT2Config = FAMILIES["gpt2"]
    with pytest.raises(ModelError, match="no plan to split a 'gpt2' model: use device_map"):
        load_model(save(config, tmp_path), device="cpu", dtype="float32", tensor_parallel=2)


def test_more_parts_than_gpus_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = torch.device("cuda")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    with pytest.raises(ModelError, match=r"needs as many GPUs, from cuda:2 on, .* shows 3"):
        parallel.join(2, torch.device("cuda:2"), {})
    with pytest.raises(ModelError, match="CUDA_VISIBLE_DEVICES"):
        parallel.join(2, torch.device("cpu"), {})
