"""What hosted rewards that are made of others share: fingerprints and locks. Torch-free."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any

from prelogit.rewards.hosted.reward import HostedReward


def derived_fingerprint(of: Sequence[str | None], settings: Mapping[str, Any]) -> str | None:
    """sha256 over the fingerprints and settings; None where one of them is not known."""
    if None in of:
        return None
    text = json.dumps({"of": list(of), **settings}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def locked(hosted: HostedReward) -> HostedReward:
    """The reward, safe to be called from several threads: one waits for the other."""
    lock = Lock()

    def alone(work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            with lock:
                return work(*given)

        return run

    return hosted._replace(
        score=alone(hosted.score),
        score_text=alone(hosted.score_text) if hosted.score_text is not None else None,
        count_tokens=alone(hosted.count_tokens) if hosted.count_tokens is not None else None,
    )
