"""What both ends of the queue share: one task, one id, and how they hold the connection.

A message may be lost or doubled at any time.
"""

from __future__ import annotations

RUN_GROUP = "prelogit.run_group"
QUEUE = "prelogit"

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
