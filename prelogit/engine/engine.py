"""The engine: plans go in at any time, every step gives each live row one token.

A plan's samples are opened as groups of rows as soon as there is room; a sample that ends
leaves at once; a plan whose samples have all ended comes out. Nothing waits for the longest.
Where a plan's method picks the tokens, its rows pause with a question until they are answered,
and the others go on.
Room is counted in rows and in bytes. Where memory runs out all the same, the rows are halved
and what was live is decoded anew: noise is a function of its name, so the tokens are the same.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from itertools import count

import torch

from prelogit.core.errors import MemoryShortError
from prelogit.core.memory import MemoryPlan
from prelogit.engine.decoder import Decoder
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.head import Head
from prelogit.engine.memory.device import give_memory_back, ran_out
from prelogit.engine.memory.room import Room, clear_storage, too_large
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.engine.prefix import Group, Prefix
from prelogit.engine.turn import answer, record, take_turn
from prelogit.engine.work import Seat, Work
from prelogit.search.plan import Choice, Plan, Question, Rollouts, SearchId

log = logging.getLogger("prelogit.engine")

# A plan that does not fit whole is cut; pieces smaller than this wait for more room instead.
_SMALLEST_PIECE = 16

# How often a plan may run out of memory on a single row before it is given up.
_TRIES_ALONE = 2

Done = tuple[SearchId, Rollouts | MemoryShortError | Question]


class Engine:
    """Decodes the plans of many prompts in one batch, within a bound of rows and of memory."""

    def __init__(
        self,
        decoder: Decoder,
        head: Head,
        ends: frozenset[int],
        limit: RowsLimit,
        memory: MemoryPlan | None = None,
    ) -> None:
        self._decoder, self._head = decoder, head
        self._static = decoder.draws(head) if isinstance(decoder, GraphDecoder) else None
        self._ends = ends
        self._limit = limit
        self._room = Room(memory, decoder)
        self._prompts: dict[str, Sequence[int]] = {}
        self._prefixes: dict[str, Prefix] = {}  # the one used longest ago first
        self._waiting: list[Work] = []
        self._live: list[Seat] = []
        self._numbers = count()
        self._stuck = False  # whether what waits for room has found none

    def admit(self, prompt: str, token_ids: Sequence[int]) -> None:
        """Make a prompt known; its keys and values are computed when first needed."""
        self._prompts[prompt] = token_ids

    def drop(self, search: SearchId) -> None:
        """Forget whatever is queued, decoded or asked for a search."""
        self._stuck = False
        self._waiting = [work for work in self._waiting if work.search != search]
        for seat in self._live:
            if seat.work.search == search:
                self._decoder.keep(seat.group, [])
        self._live = [seat for seat in self._live if seat.work.search != search]

    def release(self, prompt: str) -> None:
        """Forget a prompt with its keys and values; its searches have ended or been dropped."""
        self._prompts.pop(prompt, None)
        self._prefixes.pop(prompt, None)

    def prefix(self, prompt: str) -> Prefix | None:
        """A prompt's keys and values while they are held: they make way where memory is short."""
        return self._prefixes.get(prompt)

    def add(self, search: SearchId, plan: Plan) -> None:
        """Queue a plan. Methods go before baselines, so that progress shows where users look."""
        self._stuck = False
        self._waiting.append(Work(search, plan, self._head.device))
        self._waiting.sort(key=lambda work: min(work.search.arm, 1))  # stable

    def answer(self, question: Question, choice: Choice) -> None:
        """Let the rows of a question go on with these tokens.

        An answer that nobody waits for any more does nothing: its search was dropped, or is decoded
        anew for want of memory and asks again.
        """
        answer(self._live, question, choice)

    @property
    def busy(self) -> bool:
        """Whether a step would do anything; where all rows wait for answers, it would not."""
        return not all(seat.waits for seat in self._live) or bool(self._waiting and not self._stuck)

    @property
    def rows(self) -> int:
        """Samples that decode or wait to."""
        waiting = sum(len(work.unopened) for work in self._waiting)
        return waiting + sum(seat.group.live for seat in self._live)

    @torch.inference_mode()
    def step(self) -> list[Done]:
        """One token for every row that waits for no answer; returns the plans that are complete now.

        A plan that memory does not suffice for comes back with the error instead; one whose
        method must pick, with the question.
        """
        done: list[Done] = []
        stepped: list[Work] = []
        short = False
        try:
            self._open(done)
            stepped = list({id(seat.work): seat.work for seat in self._live}.values())
            self._stuck = all(seat.waits for seat in self._live)
            done += self._advance()
        except Exception as error:
            if not ran_out(error):
                raise
            short = True
        if short:  # not inside the except: the error's frames hold tensors
            done += self._recover(opening=not stepped)
        self._limit.live = sum(seat.group.live for seat in self._live)
        return done + [(work.search, work.rollouts()) for work in stepped if work.done]

    def _open(self, done: list[Done]) -> None:
        """Fill the free room from the waiting plans; those that can never fit are done with."""
        while self._waiting:
            work = self._waiting[0]
            left = len(work.unopened)
            size = min(left, self._fitting(work, min(left, _SMALLEST_PIECE)))
            if self._live and size < min(left, _SMALLEST_PIECE):
                return
            if size < min(left, self._limit.rows, 2):
                self._waiting.pop(0)
                prompt = len(self._prompts[work.search.prompt])
                done.append((work.search, too_large(prompt, work.plan, self._room.plan)))
                continue
            prefix = self._prefix(work)
            samples = work.open(size)
            group = Group(prefix, samples, work.plan.max_new_tokens)
            self._live.append(Seat(work, group, tuple(samples)))
            self._room.opened(self._live)
            if not work.unopened:
                self._waiting.pop(0)

    def _fitting(self, work: Work, wanted: int) -> int:
        """Rows of a plan that fit now; prompts that nothing decodes make way for ``wanted``."""
        rows = self._limit.rows - sum(seat.group.live for seat in self._live)
        if rows <= 0:
            return 0
        prompt, new = work.search.prompt, work.plan.max_new_tokens
        used = {seat.work.search.prompt for seat in self._live} | {prompt}
        while True:
            held = sum(len(self._prompts[name]) for name in self._prefixes if name != prompt)
            length = len(self._prompts[prompt])
            fit = self._room.fitting(rows, self._live, held, length, new, prompt=prompt)
            if fit >= min(rows, wanted):
                return fit
            if not self._live and clear_storage(self._decoder):
                continue
            if idle := next((name for name in self._prefixes if name not in used), None):
                del self._prefixes[idle]
            else:
                return fit

    def _prefix(self, work: Work) -> Prefix:
        prompt = work.search.prompt
        prefix = self._prefixes.pop(prompt, None)
        if prefix is None:
            start = time.perf_counter()
            try:
                prefix = self._decoder.prefill(self._prompts[prompt])
            finally:
                spent = time.perf_counter() - start
                work.decode_seconds += spent
                work.live_seconds += spent
            # A copy: what it is a row of has all tokens of the prompt.
            prefix = prefix._replace(hidden=prefix.hidden.clone())
        self._prefixes[prompt] = prefix
        return prefix

    def _advance(self) -> list[tuple[SearchId, Question]]:
        """One token for every row that waits for no answer; what is asked for others."""
        seats = [seat for seat in self._live if not seat.waits]
        rows = [seat.group.live for seat in seats]
        start = time.perf_counter()
        try:
            turn = take_turn(self._head, seats, self._static, self._numbers)
            groups, tokens = record(self._decoder, turn, self._ends)
            self._live = [seat for seat in self._live if seat.group.live]
            if groups:
                self._decoder.forward(groups, torch.cat(tokens).to(self._head.device))
        finally:
            spent = time.perf_counter() - start
            for seat, m in zip(seats, rows, strict=True):
                seat.work.decode_seconds += spent * m / sum(rows)
            for work in {id(seat.work): seat.work for seat in seats}.values():
                work.live_seconds += spent
        return turn.asked

    def _recover(self, *, opening: bool) -> list[Done]:
        """Put back what was live, free what can be freed, and go on with half the rows.

        ``opening``: it was the first waiting plan's prompt that memory did not suffice for. It
        is tried first again, so that a prompt that alone is too long does not slow the others.
        """
        live = sum(seat.group.live for seat in self._live)
        first = self._waiting[:1] if opening else []
        again = [seat.work for seat in self._live if self._put_back(seat)]
        self._live = []
        self._stuck = False
        order = [*first, *again, *self._waiting]
        self._waiting = list({id(work): work for work in order}.values())
        self._prefixes.clear()
        clear_storage(self._decoder)
        give_memory_back(self._head.device)
        before = self._limit.rows
        alone = before == 1 and bool(self._waiting)
        if alone:
            self._waiting[0].refused += 1
        if not alone or self._waiting[0].refused < _TRIES_ALONE:
            self._limit.halve(live)
            log.warning(
                "out of memory with rows=%d: going on with rows=%d, what was live is decoded anew",
                *(before, self._limit.rows),
            )
            return []
        # A single row, and all else freed: this plan is to blame.
        work = self._waiting.pop(0)
        self._limit.restore()
        told = work.search.prompt
        log.warning("out of memory on one row of prompt=%r alone", told, extra={"prompt": told})
        return [(work.search, too_large(len(self._prompts[told]), work.plan, None))]

    def _put_back(self, seat: Seat) -> bool:
        self._decoder.keep(seat.group, [])
        return seat.work.put_back(seat.samples)
