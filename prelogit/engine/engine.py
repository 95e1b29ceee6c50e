"""The engine: plans go in at any time, every step gives each live row one token.

A plan's samples are opened as groups of rows as soon as there is room; a sample that ends
leaves at once; a plan whose samples have all ended comes out. Nothing waits for the longest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor

from prelogit.engine import pick
from prelogit.engine.decoder import Decoder
from prelogit.engine.head import Head
from prelogit.engine.prefix import Group, Prefix
from prelogit.engine.work import Work, _rows
from prelogit.noise import uniform_rows
from prelogit.search.plan import Greedy, Plan, Rollouts, SearchId, TopP

# A plan that does not fit whole is cut; pieces smaller than this wait for more room instead.
_SMALLEST_PIECE = 16


class Engine:
    """Decodes the plans of many prompts in one batch of at most ``max_rows`` rows."""

    def __init__(self, decoder: Decoder, head: Head, ends: frozenset[int], max_rows: int) -> None:
        self._decoder, self._head = decoder, head
        self._ends = ends
        self._max_rows = max_rows
        self._prompts: dict[str, Sequence[int]] = {}
        self._prefixes: dict[str, Prefix] = {}
        self._waiting: list[Work] = []
        self._live: list[tuple[Work, Group]] = []

    def admit(self, prompt: str, token_ids: Sequence[int]) -> None:
        """Make a prompt known; its keys and values are computed when first needed, once."""
        self._prompts[prompt] = token_ids

    def drop(self, search: SearchId) -> None:
        """Forget whatever is queued or decoded for a search."""
        self._waiting = [work for work in self._waiting if work.search != search]
        for _, group in (pair for pair in self._live if pair[0].search == search):
            self._decoder.keep(group, [])
        self._live = [pair for pair in self._live if pair[0].search != search]

    def release(self, prompt: str) -> None:
        """Forget a prompt with its keys and values; its searches have ended or been dropped."""
        self._prompts.pop(prompt, None)
        self._prefixes.pop(prompt, None)

    def add(self, search: SearchId, plan: Plan) -> None:
        """Queue a plan. Methods go before baselines, so that progress shows where users look."""
        self._waiting.append(Work(search, plan, self._head.device))
        self._waiting.sort(key=lambda work: min(work.search.arm, 1))  # stable

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._waiting or self._live)

    @torch.inference_mode()
    def step(self) -> list[tuple[SearchId, Rollouts]]:
        """One token for every live row; returns the plans that are complete now."""
        self._open()
        start = time.perf_counter()
        rows = sum(group.live for _, group in self._live)
        live = list(self._live)
        self._forward(self._pick())
        spent = time.perf_counter() - start
        for work, group in live:
            work.decode_seconds += spent * group.stepped / rows
        for work in {id(work): work for work, _ in live}.values():
            work.live_seconds += spent
        done = {id(work): work for work, _ in live if work.done}
        return [(work.search, work.rollouts()) for work in done.values()]

    def _open(self) -> None:
        """Fill the free rows from the waiting plans."""
        room = self._max_rows - sum(group.live for _, group in self._live)
        while self._waiting and room > 0:
            work = self._waiting[0]
            left = work.plan.samples - work.opened
            size = min(left, room)
            if size < left and size < _SMALLEST_PIECE and self._live:
                return
            prefix = self._prefix(work)
            samples = range(work.opened, work.opened + size)
            self._live.append((work, Group(prefix, samples, work.plan.max_new_tokens)))
            work.opened += size
            room -= size
            if work.opened == work.plan.samples:
                self._waiting.pop(0)

    def _prefix(self, work: Work) -> Prefix:
        prompt = work.search.prompt
        if prompt not in self._prefixes:
            start = time.perf_counter()
            self._prefixes[prompt] = self._decoder.prefill(self._prompts[prompt])
            spent = time.perf_counter() - start
            work.decode_seconds += spent
            work.live_seconds += spent
        return self._prefixes[prompt]

    def _pick(self) -> Tensor:
        """i64[R] on the device: the next token of every row, recorded in its plan."""
        noise = [work.noise(group.sample, group.decoded + 1) for work, group in self._live]
        hidden = torch.cat([group.hidden for _, group in self._live])
        added = None
        if any(v is not None for v in noise):
            still = hidden.new_zeros(1, hidden.shape[1], dtype=torch.float32)
            added = torch.cat(
                [
                    still.expand(group.live, -1) if v is None else v
                    for v, (_, group) in zip(noise, self._live, strict=True)
                ]
            )
        logits = self._head.logits(hidden, added)
        tokens = pick.greedy(logits)
        first = 0
        for work, group in self._live:
            rows = slice(first, first + group.live)
            first += group.live
            match work.plan.pick:
                case TopP(temperature, mass, key):
                    names = _rows(key, group.sample, group.decoded + 1, logits.device)
                    tokens[rows] = pick.top_p(logits[rows], temperature, mass, uniform_rows(names))
                case Greedy():
                    pass
            if work.plan.measure_kl:
                self._measure(work, group, logits[rows], tokens[rows])
        return tokens

    def _measure(self, work: Work, group: Group, logits: Tensor, tokens: Tensor) -> None:
        """Both KL estimators of appendix C.6, along the tokens that were drawn."""
        steered = logits.double().log_softmax(dim=-1)
        base = self._head.logits(group.hidden).double().log_softmax(dim=-1)
        apart = steered - base
        work.log_ratio[group.sample] += apart.gather(1, tokens[:, None])[:, 0].cpu()
        work.kl[group.sample] += (steered.exp() * apart).sum(dim=-1).cpu()

    def _forward(self, tokens: Tensor) -> None:
        """Record the tokens, let the ended rows go, and run the model on the others."""
        told = tokens.cpu()
        kept: list[Tensor] = []
        first = 0
        for work, group in self._live:
            m = group.stepped = group.live
            step = group.decoded + 1
            mine = told[first : first + m]
            ends = torch.tensor([token in self._ends for token in mine.tolist()])
            work.record(group.sample, step, mine, ends)
            last = step == work.plan.max_new_tokens
            rows = [] if last else [row for row, end in enumerate(ends.tolist()) if not end]
            work.ended += m - len(rows)
            if len(rows) < m:
                self._decoder.keep(group, rows)
            kept.append(
                tokens[first : first + m][
                    torch.tensor(rows, dtype=torch.long, device=tokens.device)
                ]
            )
            first += m
        self._live = [pair for pair in self._live if pair[1].live]
        if self._live:
            self._decoder.forward([group for _, group in self._live], torch.cat(kept))
