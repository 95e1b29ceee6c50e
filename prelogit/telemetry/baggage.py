"""Job, prompt and iteration on their way to the reward service, as a W3C ``baggage`` header."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote

from prelogit.telemetry.place import Place

LONGEST = 200
JOB = re.compile(r"[\w.-]{1,64}", re.ASCII)


def packed(place: Place) -> str:
    """The header's value; empty where there is nothing to tell. A prompt's long id is cut."""
    found = {"job": place.job, "prompt": place.prompt, "iteration": place.iteration}
    return ",".join(
        f"prelogit.{name}={quote(str(value)[:LONGEST].encode('utf-8', 'replace'), safe='')}"
        for name, value in found.items()
        if value is not None
    )


def unpacked(header: str) -> dict[str, Any]:
    """The parts of a ``Place`` that a header tells; what is none of ours, or strange, is left out."""
    told = dict(part.strip().split("=", 1) for part in header.split(",") if "=" in part)
    job = unquote(told.get("prelogit.job", ""))
    prompt = unquote(told.get("prelogit.prompt", ""))[:LONGEST]
    iteration = told.get("prelogit.iteration", "")
    return {
        **({"job": job} if JOB.fullmatch(job) else {}),
        **({"prompt": prompt} if prompt else {}),
        **({"iteration": int(iteration)} if re.fullmatch(r"[0-9]{1,9}", iteration) else {}),
    }
