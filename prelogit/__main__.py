"""``python -m prelogit`` is the ``prelogit`` command."""

from __future__ import annotations

from prelogit.cli.app import main

main()
