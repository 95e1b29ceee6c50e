"""Bodies that a gateway takes: of jobs by every method and with every field, and of keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from tests.promises.bad_input.house import HOOKS, REWARDS, VALUE

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map("a".__add__)
NAME = st.from_regex(r"\A[A-Za-z0-9 _.:-]{1,30}\Z")
SMALL = st.integers(1, 6)
POSITIVE = st.floats(1e-3, 1e3)
SHARE = st.floats(0.01, 0.99)


def _some(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Any choice of the fields; in JSON no name ends in an underscore."""
    named = {name.rstrip("_"): value for name, value in optional.items()}
    return st.fixed_dictionaries({}, optional=named)


def _method(kind: str, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _some(batch_size=SMALL, **optional).map(lambda fields: {"name": kind, **fields})


_DRAWN: dict[str, st.SearchStrategy[Any]] = {
    "n": st.none() | SMALL,
    "noise": st.sampled_from([None, "gaussian"]),
    "sigma2": POSITIVE | st.just("auto"),
    "temperature": POSITIVE,
    "top_p": SHARE | st.just(1.0),
}
_SEARCH: dict[str, st.SearchStrategy[Any]] = {
    "n": SMALL,
    "iterations": SMALL,
    "lambda_": POSITIVE | st.just("auto"),
    "alpha": SHARE | st.just("auto"),
    "window": st.none() | SMALL,
}
RECONTROL = _method("recontrol", learning_rate=POSITIVE, steps=st.integers(0, 9), top_p=SHARE).map(
    lambda fields: {**fields, "value": VALUE}
)
BASELINES = st.one_of(
    _method("bon", **_DRAWN),
    _method("soft_bon", **_DRAWN, lambda_=POSITIVE | st.just("auto")),
    _method("greedy"),
    _method("sample", n=st.none() | SMALL, temperature=POSITIVE, top_p=SHARE),
    _method("args", k=SMALL, weight=st.floats(0, 9), temperature=POSITIVE),
    _method("args", n=SMALL).map(lambda fields: {**fields, "mode": "stochastic"}),
    RECONTROL,
    st.builds(lambda fields, n: {**fields, "n": n, "temperature": 0.5}, RECONTROL, SMALL),
)
METHODS = st.one_of(
    BASELINES,
    _method(
        "aisp", **_SEARCH, temperature=POSITIVE, heat=st.floats(1, 4), top_p=SHARE,
        sigma2=st.just("auto"),
    ),
    _method("aisp", **_SEARCH, horizon=st.none() | SMALL, sigma2=POSITIVE | st.just("auto")).map(
        lambda fields: {**fields, "proposal": "mean"}
    ),
    _method("aisp", n=SMALL, iterations=SMALL, lambda_=POSITIVE).map(
        lambda fields: {**fields, "preset": "paper"}
    ),
    _method("collect", n=SMALL, temperature=POSITIVE, top_p=SHARE).map(
        lambda fields: {**fields, "value": "new"}
    ),
    _method(
        "train", epochs=SMALL, patience=SMALL, training_rate=POSITIVE, decay=st.floats(0, 1),
        weight_decay=st.floats(0, 1), width=st.none() | SMALL, held_out=SHARE, steps=SMALL,
    ).map(lambda fields: {**fields, "value": VALUE}),
)  # fmt: skip
TURN = st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": TEXT})
_ASSISTANT = st.fixed_dictionaries({"role": st.just("assistant"), "content": TEXT})
_CONVERSATION = st.builds(
    lambda before, last: {"messages": [*before, last]},
    st.lists(TURN | _ASSISTANT, max_size=3),
    TURN,
)
PROMPT = TEXT | st.fixed_dictionaries({"prompt": TEXT}) | _CONVERSATION
PROMPTS = st.builds(
    lambda plain, ids: [
        *plain,
        *({"id": f"{name}{place}", "prompt": "a"} for place, name in enumerate(ids)),
    ],
    st.lists(PROMPT, min_size=1, max_size=3),
    st.lists(NAME, max_size=2),
)
_SERVER = st.sampled_from(
    [
        {"url": REWARDS},
        {"url": f"{REWARDS}/x", "protocol": "judge", "model": "m", "form": "yes-no"},
        {"url": REWARDS, "protocol": "vllm-classify", "label": 1, "activation": True},
        {"url": REWARDS, "protocol": "tei", "truncation": "left", "max_tokens": 9, "text": "chat"},
        {"url": REWARDS, "protocol": "openrlhf", "name": "mine"},
    ]
)
WEBHOOK = st.builds(
    lambda path, events: {"url": f"{HOOKS}/{path}", "events": events},
    st.from_regex(r"\A[a-z0-9/?=&]{0,20}\Z"),
    st.lists(
        st.sampled_from(["job.started", "job.ended", "prompt.ended"]), min_size=1, unique=True
    ),
)
SETTINGS = _some(
    method=METHODS,
    baselines=st.lists(BASELINES, max_size=3),
    reward=st.just({"name": "relevance"}) | _SERVER | st.just({}),
    max_new_tokens=st.integers(1, 64),
    seed=st.integers(0, 2**63 - 1),
    keep=st.sampled_from(["best", "all"]),
    top_k=st.integers(1, 1000),
    stop=_some(
        reward=st.none() | st.floats(-1e9, 1e9), plateau=SMALL, samples=SMALL, seconds=POSITIVE,
        tokens=SMALL, kl=st.floats(0, 1e6),
    ),
    template=st.sampled_from(["chat", "none"]),
    priority=st.sampled_from(["high", "normal", "low"]),
    metadata=st.dictionaries(NAME, st.text(st.characters(exclude_categories=["Cs"]), max_size=9), max_size=4),
    webhook=st.none() | WEBHOOK,
)  # fmt: skip
HELD_OUT = SETTINGS.map(
    lambda fields: {**fields, "reward": {"name": "relevance"}, "held_out": {"name": "length"}}
)
BUDGET = st.builds(
    lambda fields, samples: {
        **fields,
        "method": {"name": "aisp", "n": 2, "iterations": 3},
        "budget": {"samples": samples},
    },
    SETTINGS,
    st.integers(10, 10**6),
)
JOB_SETTINGS = SETTINGS | HELD_OUT | BUDGET
JOBS = st.builds(lambda fields, prompts: {**fields, "prompts": prompts}, JOB_SETTINGS, PROMPTS)
KEYS = _some(
    scopes=st.lists(st.sampled_from(["read", "submit", "admin"]), min_size=1, max_size=3),
    expires_at=st.none()
    | st.datetimes(min_value=datetime(2100, 1, 1)).map(lambda moment: moment.isoformat() + "Z"),
    rate_per_minute=st.none() | st.integers(1, 2**31 - 1),
    running_prompts=st.none() | SMALL,
    unfinished_prompts=st.none() | SMALL,
)
