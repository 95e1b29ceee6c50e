"""Which gateway a command talks to."""

from __future__ import annotations

import os

from prelogit.client import Client
from prelogit.launch.note import running_note
from prelogit.text import home_folder


def connect() -> Client:
    """PRELOGIT_URL, else the stack that runs on the home folder, else port 8000 of this machine."""
    return Client(os.environ.get("PRELOGIT_URL") or running_note(home_folder()).get("url"))
