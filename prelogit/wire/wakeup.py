"""Names on the queue: one task, one id. A message may be lost or doubled at any time."""

from __future__ import annotations

RUN_GROUP = "prelogit.run_group"
QUEUE = "prelogit"
