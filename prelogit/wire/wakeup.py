"""What both ends of the queue share: one task, one id, a queue a model, and how they connect.

A message may be lost or doubled at any time.
"""

from __future__ import annotations

import hashlib
import re

RUN_GROUP = "prelogit.run_group"

# A wake-up is taken at most once; what is lost is sent again out of the store. With
# ack_emulation on, a search longer than the visibility timeout would run twice at the same time.
# Without socket_timeout a stopped Redis would hold either end for minutes.
TRANSPORT: dict[str, bool | int | float] = {
    "ack_emulation": False,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.2,
}


def queue_of(model: str) -> str:
    """The name of a model's queue: ``prelogit.<readable part>-<hash of the whole name>``.

    Only letters, digits, dots and hyphens, for a model's name may be a path with anything in it.
    Two names have two queues, also when they mean the same files.
    """
    last = model.rstrip("/").rsplit("/", 1)[-1].lower()
    readable = re.sub(r"[^a-z0-9.]+", "-", last)[:40].strip("-.") or "model"
    # A name from a JSON body may hold half of a surrogate pair, which has no UTF-8.
    digest = hashlib.sha256(model.encode("utf-8", "surrogatepass")).hexdigest()
    return f"prelogit.{readable}-{digest[:12]}"
