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
    mounted = set(re.findall(r"type=bind,source=(\S+?),", TEXT))
    copied |= mounted
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


def installs() -> list[str]:
    """Every call of pip."""
    calls = [call for line in instructions("RUN") for call in re.split(r"&&|\s(?=pip )", line)]
    return [" ".join(call.split()) for call in calls if call.strip().startswith("pip ")]


def test_every_package_is_pinned_with_its_hashes() -> None:
    (own,) = [call for call in installs() if "/dist/" in call]
    assert "--no-deps" in own
    others = [call for call in installs() if call != own]
    for call in others:
        assert {"--require-hashes", "--no-deps", "--only-binary"} <= set(call.split())
    named = re.findall(r"-r \"?/requirements/([\w$-]+)\.txt", " ".join(others))
    assert named == ["build", "torch-$TORCH", "prelogit", "models"]
    assert "python -m build --no-isolation" in TEXT


def test_torch_is_for_cpu_unless_asked() -> None:
    assert instructions("ARG") == ["TORCH=cpu"]
    built = {name: s["build"]["args"] for name, s in services().items() if "build" in s}
    assert built.pop("worker-gpu") == {"TORCH": "cuda"}
    assert all(arguments == {"TORCH": "cpu"} for arguments in built.values())
    for build in ("cpu", "cuda"):
        assert (ROOT / "requirements" / f"torch-{build}.txt").exists()


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
