"""The leader's calls of a tensor-parallel model, made by all its processes.

``LeadDecoder`` and ``LeadHead`` tell the other processes what they are about to do and then do it;
``follow`` does the same there. Prompts and groups go by numbers. Noise, picking and the search are
the leader's alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NoReturn
from weakref import WeakKeyDictionary, finalize

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from prelogit.engine.decoder import Decoder
from prelogit.engine.head import Head
from prelogit.engine.prefix import Group, Prefix
from prelogit.engine.tensor_parallel.team import END, Team

_PREFILL, _OPEN, _FORWARD, _KEEP, _FORGET, _CLEAR, _LOGITS = range(END + 1, END + 8)
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class LeadDecoder:
    """A ``Decoder`` whose calls all processes make."""

    def __init__(self, inner: Decoder, team: Team) -> None:
        self._inner, self._team = inner, team
        self._numbers = itertools.count()
        # Numbers of prefixes, by their cache, and of groups; theirs while anybody holds them.
        self._prompts: WeakKeyDictionary[Cache, int] = WeakKeyDictionary()
        self._groups: WeakKeyDictionary[Group, int] = WeakKeyDictionary()
        self._gone: list[int] = []  # numbers whose prefix or group nobody holds any more

    def prefill(self, token_ids: Sequence[int]) -> Prefix:
        """Each process keeps the keys and values of its own heads."""
        number = next(self._numbers)
        with self._team.together():
            self._forget()
            self._team.tell([_PREFILL, number, *token_ids])
            prefix = self._inner.prefill(token_ids)
        self._prompts[prefix.cache] = number
        self._at_end_of(prefix.cache, number)
        return prefix

    def forward(self, groups: list[Group], tokens: Tensor) -> None:
        """Feed one token a row (i64[R], rows in the order of the groups); sets their hidden."""
        with self._team.together():
            self._forget()
            numbers = [self._number(group) for group in groups]
            self._team.tell([_FORWARD, len(numbers), *numbers, *tokens.tolist()])
            self._inner.forward(groups, tokens)

    def keep(self, group: Group, rows: list[int]) -> None:
        """Drop all other rows of a group."""
        with self._team.together():
            if rows or group in self._groups:
                self._team.tell([_KEEP, self._number(group), *rows])
            self._inner.keep(group, rows)

    def clear(self) -> None:
        """Give all memory of suffixes back; for when no group is live."""
        with self._team.together():
            self._team.tell([_CLEAR])
            _clear(self._inner)

    @property
    def nbytes(self) -> int:
        """Bytes of all suffixes, in this process."""
        return int(getattr(self._inner, "nbytes", 0))

    def _number(self, group: Group) -> int:
        """Of a group that is new, the others are told first: nothing has been decoded of it."""
        found = self._groups.get(group)
        if found is None:
            found = self._groups[group] = next(self._numbers)
            self._at_end_of(group, found)
            prompt = self._prompts[group.prefix.cache]
            self._team.tell([_OPEN, found, prompt, group.live, group.capacity])
        return found

    def _at_end_of(self, held: Any, number: int) -> None:
        finalize(held, self._gone.append, number).atexit = False

    def _forget(self) -> None:
        if self._gone:
            gone = self._gone.copy()
            del self._gone[: len(gone)]
            self._team.tell([_FORGET, *gone])


class LeadHead(Head):
    """A ``Head`` whose logits all processes compute together."""

    def __init__(self, inner: Head, team: Team) -> None:
        self.__dict__.update(inner.__dict__)
        self._team = team

    def logits(self, hidden: Tensor, added: Tensor | None = None) -> Tensor:
        """[R, V] logits of hidden states [R, d], with ``added`` [R, d] on the pre-logits."""
        hidden = hidden.contiguous()
        with self._team.together():
            kind = _DTYPES.index(hidden.dtype)
            self._team.tell([_LOGITS, len(hidden), kind, int(added is not None)])
            self._team.share(hidden)
            if added is not None:
                added = added.float().contiguous()
                self._team.share(added)
            return super().logits(hidden, added)


@torch.inference_mode()
def follow(team: Team, decoder: Decoder, head: Head) -> None:
    """Make the calls that the leader tells, until it tells the end."""
    prompts: dict[int, Prefix] = {}
    groups: dict[int, Group] = {}
    while True:
        match team.hear():
            case [op, number, *token_ids] if op == _PREFILL:
                prompts[number] = decoder.prefill(token_ids)
            case [op, number, prompt, live, capacity] if op == _OPEN:
                groups[number] = Group(prompts[prompt], range(live), capacity)
            case [op, count, *rest] if op == _FORWARD:
                tokens = torch.tensor(rest[count:], device=head.device)
                decoder.forward([groups[number] for number in rest[:count]], tokens)
            case [op, number, *rows] if op == _KEEP:
                decoder.keep(groups[number], rows)
                if not rows:
                    del groups[number]
            case [op, *numbers] if op == _FORGET:
                for number in numbers:
                    prompts.pop(number, None)
                    if number in groups:
                        decoder.keep(groups.pop(number), [])
            case [op] if op == _CLEAR:
                _clear(decoder)
            case [op, rows, kind, noisy] if op == _LOGITS:
                hidden = torch.empty(rows, head.dim, dtype=_DTYPES[kind], device=head.device)
                team.share(hidden)
                added = torch.empty(rows, head.dim, device=head.device) if noisy else None
                if added is not None:
                    team.share(added)
                head.logits(hidden, added)
            case [op] if op == END:
                return
            case message:
                _unknown(message)


def _clear(decoder: Decoder) -> None:
    getattr(decoder, "clear", lambda: None)()


def _unknown(message: list[int]) -> NoReturn:
    raise RuntimeError(f"the leader told {message[:1]}, which is no call")
