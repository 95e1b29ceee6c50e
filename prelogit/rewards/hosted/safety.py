"""How clean a response is, by the packaged classifier of offensive English. Torch-free.

alt-profanity-check carries a linear model over words, trained on comments that people labelled:
it knows insults and swear words, and neither dangerous advice nor other languages.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.derived import derived_fingerprint
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored, Whole, only_texts

MODULE = "profanity_check"
PACKAGE = "alt-profanity-check"


def load_safety(name: str, *, description: str | None = None) -> HostedReward:
    """A reward from 0 (offensive) to 1 (clean): a probability, so it saturates at both ends.

    Raises: ModelError: the package is not installed, or its model cannot be read.
    """
    predict = _import()

    def score_text(items: Sequence[Whole]) -> Scored:
        scores = [1.0 - float(value) for value in predict(only_texts(name, items))]
        return Scored(scores, [0] * len(items))

    def score(_: Sequence[Conversation], responses: Sequence[str]) -> Scored:
        return score_text(responses)

    return HostedReward(
        name=name,
        kind="safety",
        description=description or "the probability that the response offends nobody (English)",
        fingerprint=derived_fingerprint([], {"kind": "safety", PACKAGE: version(PACKAGE)}),
        low=0.0,
        high=1.0,
        score=score,
        score_text=score_text,
    )


def _import() -> Any:
    try:
        return import_module(MODULE).predict_prob
    except ModuleNotFoundError as error:
        raise ModelError(
            f"the safety reward needs the package {PACKAGE} ({error.name} is missing): run "
            "`pip install 'prelogit[safety]'`"
        ) from error
    except Exception as error:  # its module reads its model, which is of one version of sklearn
        raise ModelError(
            f"the model of the package {PACKAGE} cannot be read ({type(error).__name__}): run "
            "`pip install --force-reinstall 'prelogit[safety]'`"
        ) from error
