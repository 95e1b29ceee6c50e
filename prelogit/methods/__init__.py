"""The methods by the name that JSON carries; one paper, one file."""

from __future__ import annotations

from prelogit.methods import aisp, bon, collect, recontrol
from prelogit.search.plan import Method

METHODS: dict[str, Method] = {
    "aisp": aisp.METHOD,
    "bon": bon.METHOD,
    "recontrol": recontrol.METHOD,
    "collect": collect.METHOD,
    "train": recontrol.TRAIN,
}
