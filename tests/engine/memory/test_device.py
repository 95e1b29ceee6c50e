"""The memory model: sizes to the byte where they are exact, limits of machine and container."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from prelogit.core.build import build_of, weights_of
from prelogit.core.errors import ModelError
from prelogit.core.memory import GB, MemoryPlan, footprint
from prelogit.engine.decoder import PlainDecoder, SharedDecoder
from prelogit.engine.load import Model, prepare
from prelogit.engine.memory import device as memory
from prelogit.engine.packed import pack
from prelogit.engine.prefix import Group
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Revise, SearchId, TopP
from tests import tiny
from tests.engine.conftest import FAMILIES, SIZES
from tests.engine.memory.held import Held

GIB = 2**30


def prepared(family: Any, **options: Any) -> Model:
    return prepare("tiny", tiny.language_model(family), tiny.tokenizer(), **options)


@pytest.mark.parametrize("attention", ["shared", "eager"])
def test_keys_and_values_take_what_the_configuration_says(family: Any, attention: Any) -> None:
    model = prepared(family, attention=attention)
    build = build_of(model.module.config.get_text_config().to_dict())
    assert build is not None
    predicted = footprint(
        build, "float32", weights=0, on_cpu=True, shared=attention == "shared"
    ).token
    assert model.memory.prefix_token_bytes == predicted
    with torch.inference_mode():
        prefix = model.decoder.prefill([1, 2, 3, 4, 5, 6, 7])
        assert prefix.nbytes == model.memory.prefix_bytes(7)
        group = Group(prefix, range(3), 9)
        model.decoder.forward([group], torch.tensor([4, 5, 6]))
        if attention == "shared":
            assert isinstance(model.decoder, SharedDecoder)
            assert model.decoder.nbytes == model.memory.suffix_bytes(3, 7, 9)
        else:
            assert isinstance(model.decoder, PlainDecoder)
            own = model.decoder._own[id(group)]
            held = sum(layer.keys.nbytes + layer.values.nbytes for layer in own.layers)
            assert held == model.memory.suffix_bytes(3, 7, 1)
        model.decoder.keep(group, [])


@pytest.mark.parametrize("name", ["llama", "qwen3", "mistral-sliding"])
def test_weights_are_counted_once_and_packed_ones_too(name: str) -> None:
    module = tiny.language_model(FAMILIES[name])
    own = {id(p): p.nbytes for p in module.parameters()}
    buffers = sum(b.nbytes for b in module.buffers())
    assert memory.weights_bytes(module) == sum(own.values()) + buffers
    build = build_of(module.config.to_dict())
    assert build is not None
    # The closed form knows no norms of queries and keys; they are a few numbers a layer.
    close = weights_of(build, "float32", packed=False)
    assert 0 <= memory.weights_bytes(module) - close - buffers <= 4 * 2 * 16 * 4
    packed = memory.weights_bytes(module)
    pack(module)
    tied = int(module.config.tie_word_embeddings) * 257 * 64 * 4
    assert memory.weights_bytes(module) == packed + tied


def test_a_build_is_read_from_any_naming_and_refused_where_it_lacks_a_number() -> None:
    gpt2 = build_of(FAMILIES["gpt2"].to_dict())
    assert gpt2 is not None
    assert (gpt2.layers, gpt2.width, gpt2.heads, gpt2.inner) == (3, 64, 4, 256)
    assert build_of({}) is None
    assert build_of({**SIZES, "hidden_size": "many"}) is None


def plan(room: int | None, **options: Any) -> MemoryPlan:
    build = build_of(SIZES)
    assert build is not None
    taken = footprint(build, "float32", weights=1000, on_cpu=True)
    budget = None if room is None else room + taken.weights + taken.fixed
    return MemoryPlan(budget, taken, **{"wanted_rows": 128, **options})


def test_rows_are_what_fits_and_no_more_than_wanted() -> None:
    assert plan(None).max_rows == 128
    assert plan(GB).max_rows == 128
    assert plan(GB, wanted_rows=7).max_rows == 7
    assert plan(0).max_rows == 0
    assert plan(-5000).max_rows == 0
    for rows in (40, 48):
        assert plan(plan(None).need(rows, 64, 64)).max_rows == rows
        assert plan(plan(None).need(rows, 64, 64) - 1).max_rows == rows - 1
    each = plan(None).row_bytes(64, 64)
    assert plan(None).need(64, 64, 64) - plan(None).need(48, 64, 64) == 16 * each


def test_a_models_plan_follows_the_settings() -> None:
    model = prepared(FAMILIES["llama"], memory_gb=0.5, max_rows=33)
    assert (model.max_rows, model.memory.budget_bytes) == (33, 500_000_000)
    assert model.memory.weights_bytes == memory.weights_bytes(model.module)
    free = prepared(FAMILIES["llama"])
    assert free.max_rows == 128
    assert free.memory.budget_bytes is None or free.memory.budget_bytes > 10 * 2**20


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"memory_gb": 0.0005}, "PRELOGIT_MEMORY_GB"),
        ({"memory_gb": 0.0}, "memory_gb"),
        ({"memory_gb": float("nan")}, "memory_gb"),
        ({"max_rows": 0}, "max_rows"),
    ],
)
def test_what_cannot_be_is_refused_with_the_cure(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError, match=told):
        prepared(FAMILIES["llama"], **options)


def machine(root: Path, files: dict[str, str], cgroup: str = "") -> Path:
    lines = "MemTotal: 16777216 kB\nMemFree: 1 kB\nMemAvailable: 8388608 kB\n"
    for name, text in {"proc/meminfo": lines, "proc/self/cgroup": cgroup, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_a_machines_memory_is_what_is_available(tmp_path: Path) -> None:
    assert memory.host_memory(machine(tmp_path, {})) == (8 * GIB, 16 * GIB)
    assert memory.host_memory(tmp_path / "nowhere") is None


@pytest.mark.parametrize("inside", [True, False], ids=["own root", "path of the host"])
def test_a_containers_limit_counts(tmp_path: Path, inside: bool) -> None:
    path = "/" if inside else "/docker/abc"
    v2 = {
        "sys/fs/cgroup/memory.max": str(4 * GIB),
        "sys/fs/cgroup/memory.current": str(3 * GIB),
        # Cached files are given up when memory is asked for.
        "sys/fs/cgroup/memory.stat": f"anon 5\nactive_file {GIB}\ninactive_file {GIB}\n",
    }
    found = memory.host_memory(machine(tmp_path / "two", v2, f"0::{path}\n"))
    assert found == (3 * GIB, 4 * GIB)
    v1 = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(4 * GIB),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(3 * GIB),
        "sys/fs/cgroup/memory/memory.stat": "cache 7\n",
    }
    found = memory.host_memory(machine(tmp_path / "one", v1, f"5:pids:/\n4:memory:{path}\n"))
    assert found == (1 * GIB, 4 * GIB)


def test_a_limit_above_the_own_group_counts_and_none_is_none(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": "1",
        "sys/fs/cgroup/a/b/memory.stat": "",
        "sys/fs/cgroup/a/memory.max": str(GIB),
        "sys/fs/cgroup/a/memory.current": str(GIB // 2),
        "sys/fs/cgroup/a/memory.stat": "",
    }
    assert memory.host_memory(machine(tmp_path, files, "0::/a/b\n")) == (GIB // 2, GIB)


def test_failures_that_mean_no_memory_are_told_from_others() -> None:
    assert memory.ran_out(torch.OutOfMemoryError("CUDA out of memory"))
    assert memory.ran_out(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert memory.ran_out(caught.value)
    assert memory.ran_out(RuntimeError("could not create a primitive"))
    assert not memory.ran_out(RuntimeError("could not create a primitive descriptor iterator"))
    assert not memory.ran_out(RuntimeError("device-side assert triggered"))
    assert not memory.ran_out(ValueError("out of memory"))


@pytest.mark.parametrize("name", ["llama", "gemma2-softcaps", "gpt2"])
@pytest.mark.parametrize("attention", ["shared", "eager"])
@pytest.mark.parametrize("how", ["gaussian", "top-p", "texts"])
def test_the_plan_is_an_upper_bound_of_what_is_held(name: str, attention: Any, how: str) -> None:
    model = prepared(FAMILIES[name], attention=attention)
    key = NoiseKey(0, "p", 1)
    for rows, prompt, new in ((3, 90, 20), (40, 30, 40)):
        getattr(model.decoder, "clear", lambda: None)()
        engine = model.engine()
        engine.admit("p", [1 + i % 250 for i in range(prompt)])
        plan = Plan(rows, None, TopP(0.6, 0.9, key), new)
        if how == "gaussian":
            plan = Plan(rows, Gaussian(torch.ones(new, model.dim), 0.7, key), Greedy(), new)
        if how == "texts":
            none = torch.full((rows, new), -1)
            plan = Plan(
                rows,
                None,
                Revise(torch.full((rows,), 0.8).double(), 0.95, key, new, none, none >= 0),
                new,
            )
        engine.add(SearchId("p"), plan)
        with Held() as held:
            while engine.busy:
                engine.step()
        need = model.memory.need(rows, prompt, new)
        assert need / 4 < held.peak <= need + model.memory.footprint.fixed
