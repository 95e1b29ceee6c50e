"""What this machine has: an installation, a device, a folder to write to, and room on its disk."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from prelogit.core.memory import said
from prelogit.doctor.finding import Wrong
from prelogit.launch.home import open_home
from prelogit.launch.settings import UpSettings
from prelogit.launch.stack import services_root

LEAST_FREE_BYTES = 10**9
LEAST_FREE_SHARE = 0.05


def install(settings: UpSettings) -> str:
    """Raises: LaunchError: services are missing."""
    import prelogit

    services_root()
    return f"Prelogit {prelogit.__version__}, Python {sys.version.split()[0]}"


def device(settings: UpSettings) -> str:
    """Raises: Wrong: torch does not load, or does not see the device that is set."""
    try:
        import torch
    except ImportError as error:
        raise Wrong(f"torch cannot be loaded ({error}): pip install 'torch>=2.13,<2.14'") from error
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    names = [torch.cuda.get_device_name(i) for i in range(count)]
    wanted = settings.device
    if wanted.startswith("cuda"):
        place = wanted.partition(":")[2] or "0"
        if not place.isdigit() or int(place) >= count:
            raise Wrong(
                f"PRELOGIT_DEVICE is {wanted}, but torch {torch.__version__} sees {count} CUDA "
                "devices: set it to auto or cpu, or install a driver and a CUDA build of torch"
            )
    elif wanted not in ("auto", "cpu"):
        raise Wrong(f"PRELOGIT_DEVICE is {wanted!r}: use auto, cpu, cuda or cuda:N")
    used = "cpu" if wanted == "cpu" or not names else ", ".join(names)
    return f"{used} (torch {torch.__version__}, {torch.get_num_threads()} CPU threads)"


def home(settings: UpSettings) -> str:
    """Raises: LaunchError: it cannot be made or written to."""
    open_home(settings.home)
    return str(settings.home)


def disk(settings: UpSettings) -> str:
    """Raises: Wrong: a disk that is written to is nearly full."""
    folders = {"PRELOGIT_HOME": settings.home}
    if (file := sqlite_file(settings)) is not None:
        folders["PRELOGIT_DATABASE_URL"] = file.parent
    told = {_room(folder, variable) for variable, folder in folders.items()}
    return "; ".join(sorted(told))


def sqlite_file(settings: UpSettings) -> Path | None:
    """Where the database is, when it is a file that was named."""
    url = settings.database_url or ""
    return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def _room(folder: Path, variable: str) -> str:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    total, _, free = shutil.disk_usage(there)
    told = f"{said(free)} of {said(total)} free"
    if free < LEAST_FREE_BYTES or free < LEAST_FREE_SHARE * total:
        raise Wrong(
            f"the disk of {folder} is nearly full ({told}): delete jobs and files that nobody needs, "
            f"or move it by {variable}; once it is full, no job is accepted and none goes on"
        )
    return told
