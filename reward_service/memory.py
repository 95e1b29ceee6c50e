"""Scores that were given before, so that the same response to the same conversation costs nothing.

A search asks again for what it keeps: its best texts, samples that repeat, a job that resumes.
"""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from threading import Lock

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored

Known = tuple[float, bool | None, int]
"""A score, whether its item was truncated (None: not told), and the item's tokens."""


_anew: ContextVar[bool] = ContextVar("anew", default=False)


def score_anew(score: Callable[..., Scored], *given: object) -> Scored:
    """The answer of a reward that reads everything again, whatever is known."""
    before = _anew.set(True)
    try:
        return score(*given)
    finally:
        _anew.reset(before)


class Memory:
    """The last scores of all rewards of this process, at most ``items``; safe for threads.

    ``on_hits`` hears the name of a reward, and of how many responses its scores were known.
    """

    def __init__(
        self, items: int, on_hits: Callable[[str, int], None] = lambda reward, count: None
    ) -> None:
        self._items = items
        self.on_hits = on_hits
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._known)

    def find(self, keys: Sequence[bytes]) -> list[Known | None]:
        """What is known of each; it then counts as used."""
        with self._lock:
            found = [self._known.get(key) for key in keys]
            for key, known in zip(keys, found, strict=True):
                if known is not None:
                    self._known.move_to_end(key)
        return found

    def keep(self, scores: Iterable[tuple[bytes, Known]]) -> None:
        """Keeps them, and loses those that were not used for longest."""
        with self._lock:
            for key, known in scores:
                self._known[key] = known
                self._known.move_to_end(key)
            while len(self._known) > self._items:
                self._known.popitem(last=False)


def remembering(hosted: HostedReward, memory: Memory) -> HostedReward:
    """The reward, which scores only what is not known of it; that costs no tokens.

    Unchanged where its scores depend on the call or on things that its fingerprint does not tell.
    Whole texts are always scored.
    """
    mark = hosted.fingerprint
    if mark is None or hosted.relative:
        return hosted

    def score(conversations: Sequence[Conversation], responses: Sequence[str]) -> Scored:
        pairs = list(zip(conversations, responses, strict=True))
        keys = [key_of(mark, *pair) for pair in pairs]
        known: list[Known | None] = [None] * len(keys) if _anew.get() else memory.find(keys)
        new = [place for place, each in enumerate(known) if each is None]
        memory.on_hits(hosted.name, len(known) - len(new))
        tokens = [0] * len(pairs)
        if new:
            scored = _score(hosted, pairs, new)
            cuts = scored.truncated if scored.truncated is not None else [None] * len(new)
            for at, place in enumerate(new):
                known[place] = (scored.scores[at], cuts[at], scored.long[at])
                tokens[place] = scored.tokens[at]
            finite = [(keys[at], each) for at in new if (each := known[at]) and _finite(each)]
            memory.keep(finite)
        whole = [each for each in known if each is not None]
        told = [cut for _, cut, _ in whole if cut is not None]
        return Scored(
            [score for score, _, _ in whole],
            tokens,
            told if len(told) == len(whole) else None,
            [length for _, _, length in whole],
        )

    return hosted._replace(score=score)


def key_of(mark: str, conversation: Conversation, response: str) -> bytes:
    """16 bytes that stand for a reward, a conversation and a response."""
    digest = hashlib.blake2b(digest_size=16)
    turns = (text for turn in conversation for text in (turn["role"], turn["content"]))
    for text in (mark, *turns, response):
        written = text.encode("utf-8", "surrogatepass")
        digest.update(len(written).to_bytes(8, "big"))  # so that no two lists of texts are alike
        digest.update(written)
    return digest.digest()


def _score(
    hosted: HostedReward, pairs: Sequence[tuple[Conversation, str]], new: Sequence[int]
) -> Scored:
    """Of the pairs at these places.

    Raises: RewardAnswerError: another count.
    """
    try:
        scored = hosted.score([pairs[at][0] for at in new], [pairs[at][1] for at in new])
    except InputError:
        if len(new) < len(
            pairs
        ):  # an error names a place in the call: let it be that of the request
            hosted.score([before for before, _ in pairs], [response for _, response in pairs])
        raise
    if len(scored.scores) != len(new):
        raise RewardAnswerError(
            f"the reward {hosted.name!r} gave {len(scored.scores)} scores for {len(new)} responses"
        )
    return scored


def _finite(known: Known) -> bool:
    return math.isfinite(known[0])
