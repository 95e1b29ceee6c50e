"""Nothing that is loaded may run code, unless somebody has said so of that very model."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from prelogit.core.errors import ModelError
from prelogit.core.trust import Trust
from prelogit.engine.load import load_model
from prelogit.rewards.hosted.classifier import load_classifier
from reward_service.loading import load
from reward_service.specs import ClassifierSpec
from tests.rewards.conftest import save_llama
from tests.workers.services import save_model

ROOT = Path(__file__).parents[2]
ROOMS = ("prelogit", "api", "db", "workers", "reward_service")
PICKLES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def calls(*rooms: str) -> Iterator[tuple[str, ast.Call, str]]:
    """Every call in the code: where, the call, and its function as it is written."""
    for room in rooms:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node, ast.unparse(node.func)


def test_nothing_imports_pickle() -> None:
    for room in (*ROOMS, "benchmarks", "scripts"):
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                named: set[str] = set()
                if isinstance(node, ast.Import):
                    named = {one.name.partition(".")[0] for one in node.names}
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    named = {str(node.module).partition(".")[0]}
                assert not named & PICKLES, f"{path}: {named & PICKLES}"


def test_nothing_calls_what_unpickles() -> None:
    for where, call, function in calls(*ROOMS, "benchmarks"):
        assert function not in ("torch.load", "torch.save", "load_state_dict"), where
        assert not any(one.arg == "allow_pickle" for one in call.keywords), where


def test_every_loader_says_whether_code_is_trusted() -> None:
    seen = 0
    for where, call, function in calls(*(set(ROOMS) - {"db"})):  # no models there
        if function.endswith((".from_pretrained", ".from_config")):
            seen += 1
            said = {one.arg or ast.unparse(one.value) for one in call.keywords}
            assert said & {"trust_remote_code", "trust.of_weights"}, where
            if "Model" in function and function.endswith(".from_pretrained"):
                assert "gguf_file" in said or "trust.of_weights" in said, where
    assert seen >= 8


class Attack:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


def pickled(folder: Path) -> Path:
    """Replaces a model's weights by the same in a pickle. Returns: what an attack would make."""
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    return folder / "trace"


def test_pickled_weights_are_refused_with_the_cure(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    trace = pickled(Path(folder))
    torch.save({"x": Attack(trace)}, Path(folder) / "pytorch_model.bin")
    with pytest.raises(ModelError, match="PRELOGIT_PICKLE_WEIGHTS") as refused:
        load_model(folder, device="cpu", dtype="float32")
    assert "convert them" in str(refused.value)
    assert not trace.exists()


def test_pickled_weights_are_read_where_they_are_allowed(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "model")
    safe = load_model(folder, device="cpu", dtype="float32").fingerprint
    pickled(Path(folder))
    model = load_model(folder, device="cpu", dtype="float32", pickle_weights=True)
    assert model.fingerprint == safe


def test_a_pickled_reward_model_is_refused_unless_its_entry_allows_it(tmp_path: Path) -> None:
    folder = save_llama(tmp_path)
    pickled(folder)
    with pytest.raises(ModelError, match="pickle_weights: true of a reward"):
        load_classifier("rm", model=str(folder), device="cpu")
    told = {"name": "rm", "kind": "classifier", "model": str(folder), "device": "cpu"}
    with pytest.raises(ModelError, match="safetensors"):
        load(ClassifierSpec(**told), 1, {})
    assert load(ClassifierSpec(**told, pickle_weights=True), 1, {}).kind == "classifier"


@pytest.fixture
def with_code(tmp_path: Path) -> str:
    """A model that brings its own classes, which leave a trace when they are imported."""
    folder = Path(save_model(tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "homemade"
    config["auto_map"] = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(
        "from pathlib import Path\n"
        f"Path({str(folder / 'trace')!r}).touch()\n"
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class Config(LlamaConfig):\n    model_type = 'homemade'\n"
        "class Model(LlamaForCausalLM):\n    config_class = Config\n"
    )
    return str(folder)


def test_code_of_a_model_is_not_run(with_code: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="PRELOGIT_TRUST_REMOTE_CODE"):
        load_model(with_code, device="cpu", dtype="float32")
    with pytest.raises(ModelError, match="brings code of its own"):
        load_classifier("rm", model=with_code, device="cpu")
    assert not (Path(with_code) / "trace").exists()


def test_code_of_a_model_is_run_where_it_is_allowed(
    with_code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "hf"))
    model = load_model(with_code, device="cpu", dtype="float32", trust_remote_code=True)
    assert (Path(with_code) / "trace").exists()
    assert type(model.module).__name__ == "Model"


def test_trust_is_of_one_thing_at_a_time() -> None:
    told = OSError("no file named model.safetensors found")
    assert Trust(pickle_weights=True).needed("it", told) is None
    assert "not read" in str(Trust(remote_code=True).needed("it", told))
    assert Trust().needed("it", OSError("no such folder")) is None
