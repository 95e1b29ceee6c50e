"""The methods by the name that JSON carries; one paper, one file."""

from __future__ import annotations

from prelogit.methods import aisp, args, bon, collect, greedy, recontrol, sample, soft_bon
from prelogit.search.plan import Method

METHODS: dict[str, Method] = {
    "aisp": aisp.METHOD,
    "bon": bon.METHOD,
    "soft_bon": soft_bon.METHOD,
    "greedy": greedy.METHOD,
    "sample": sample.METHOD,
    "args": args.METHOD,
    "recontrol": recontrol.METHOD,
    "collect": collect.METHOD,
    "train": recontrol.TRAIN,
}
