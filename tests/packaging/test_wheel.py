"""What a user gets from `pip install prelogit`, and that its services start from there."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("api", "workers", "reward_service", "db")


def files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def sources(folder: str, below: str) -> set[str]:
    """Every file of a folder of the checkout as the wheel should name it."""
    found = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {
        f"{below}{path.relative_to(ROOT).as_posix()}"
        for path in found
        if "__pycache__" not in path.parts
    }


def test_the_wheel_holds_the_library_the_services_and_nothing_else(wheel: Path) -> None:
    wanted = sources("prelogit", "")
    for service in SERVICES:
        wanted |= sources(service, "prelogit/_services/")
    found = {name for name in files(wheel) if ".dist-info/" not in name}
    assert found == wanted


def test_what_is_no_python_is_there_too(wheel: Path) -> None:
    found = files(wheel)
    assert "prelogit/normal_quantiles.f32" in found
    assert "prelogit/py.typed" in found
    assert "prelogit/_services/db/migrations/script.py.mako" in found
    assert any(name.startswith("prelogit/_services/db/migrations/versions/0001") for name in found)
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in found)


def test_stray_files_of_a_checkout_stay_out_of_the_wheel(wheel: Path) -> None:
    found = files(wheel)
    assert not [name for name in found if "__pycache__" in name or name.endswith(".pyc")]
    tops = {name.partition("/")[0] for name in found}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"prelogit"}


def test_the_metadata_names_one_command_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = [n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt")]
        assert archive.read(entry).decode().split() == [
            "[console_scripts]",
            *("prelogit", "=", "prelogit.cli.app:main"),
        ]
        (meta,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(meta))
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"


def run(
    installed: Path, folder: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """A fresh Python that sees the unpacked wheel before the checkout, standing in ``folder``."""
    path = os.pathsep.join(map(str, (installed, installed / "prelogit" / "_services")))
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**env, **settings},
    )


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A user's folder that has modules with the names of Prelogit's services."""
    for name in SERVICES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    return tmp_path


@pytest.mark.parametrize(
    "module",
    [
        "api.app",
        "workers.app",
        "workers.alive",
        "reward_service.app",
        "db.session",
        "prelogit.cli.app",
    ],
)
def test_modules_come_from_the_wheel_wherever_the_user_stands(
    installed: Path, decoys: Path, module: str
) -> None:
    done = run(installed, decoys, "-P", "-c", f"import {module} as m; print(m.__file__)")
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(installed / "prelogit")


def test_without_dash_p_the_users_own_folder_would_win(installed: Path, decoys: Path) -> None:
    """Why every start command has it."""
    done = run(installed, decoys, "-m", "api")
    assert done.stderr.strip() == "the wrong one"


@pytest.mark.parametrize("service", ["api", "workers", "reward_service"])
def test_a_service_started_by_its_command_reads_its_settings(
    installed: Path, decoys: Path, service: str
) -> None:
    """A setting that cannot be is refused by its name; nothing has to be served for that."""
    wrong = {
        "api": "PRELOGIT_PORT",
        "workers": "PRELOGIT_MAX_ROWS",
        "reward_service": "PRELOGIT_REWARD_PORT",
    }[service]
    done = run(installed, decoys, "-P", "-m", service, **{wrong: "many"})
    assert done.returncode == 2
    assert wrong in done.stderr
    assert "Traceback" not in done.stderr


def test_the_stack_finds_its_services_inside_the_wheel(installed: Path, decoys: Path) -> None:
    code = "from prelogit.launch.stack import services_root; print(services_root())"
    done = run(installed, decoys, "-P", "-c", code)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == installed / "prelogit" / "_services"


def test_the_migrations_of_the_wheel_make_a_store(installed: Path, decoys: Path) -> None:
    code = (
        "from db.session import check, make_engine, migrate\n"
        "engine = make_engine('sqlite:///store.db'); migrate(engine); check(engine)"
    )
    done = run(installed, decoys, "-P", "-c", code)
    assert done.returncode == 0, done.stderr
    assert (decoys / "store.db").stat().st_size > 0
