"""Datasets of the Hugging Face hub, through the client that comes with transformers."""

from __future__ import annotations

import re
from fnmatch import fnmatch
from pathlib import Path

from prelogit.core.errors import InputError

_ID = re.compile(r"[\w.-]+/[\w.-]+(/[\w./-]+)?")
_SUFFIXES = ("jsonl", "jsonl.gz", "json", "parquet", "csv")


def is_hub_id(source: str) -> bool:
    """``OWNER/NAME`` or ``OWNER/NAME/FOLDER``, where no such file is and none is meant."""
    named_as_file = Path(source).suffix.lower() in {".jsonl", ".json", ".parquet", ".csv", ".gz"}
    return bool(_ID.fullmatch(source)) and not named_as_file and not Path(source).exists()


def hub_files(source: str, split: str) -> list[Path]:
    """The files of a split, fetched into the hub's own cache (HF_HOME); sorted by name.

    Raises: InputError: the hub is out of reach and nothing is cached, or there is no such split.
    """
    import httpx
    from huggingface_hub import snapshot_download

    owner, name, *inner = source.split("/", 2)
    below = f"{inner[0].rstrip('/')}/" if inner else ""
    patterns = [f"{below}*{split}*.{suffix}" for suffix in _SUFFIXES]
    try:
        folder = Path(
            snapshot_download(f"{owner}/{name}", repo_type="dataset", allow_patterns=patterns)
        )
    except (OSError, ValueError, httpx.HTTPError) as error:
        raise InputError(
            f"the dataset {owner}/{name} cannot be fetched from the Hugging Face hub "
            f"({type(error).__name__}): check the name and the connection, or download its files "
            "and name a local JSONL or Parquet file",
            field="dataset",
        ) from error
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and any(fnmatch(file.relative_to(folder).as_posix(), pattern) for pattern in patterns)
    )
    if not files:
        raise InputError(
            f"the dataset {source} has no {', '.join(_SUFFIXES)} file of the split {split!r}: "
            "name another --split, or a folder of it as OWNER/NAME/FOLDER",
            field="split",
        )
    return files
