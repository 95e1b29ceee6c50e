"""How many more rows fit beside those that live, by the memory plan."""

from __future__ import annotations

from collections.abc import Sequence

from prelogit.core.errors import MemoryShortError
from prelogit.core.memory import MemoryPlan, most_fitting, said
from prelogit.engine.decoder import Decoder
from prelogit.engine.work import Seat
from prelogit.search.plan import Plan


class Room:
    """The memory of one engine; without a plan there is no bound."""

    def __init__(self, plan: MemoryPlan | None, decoder: Decoder) -> None:
        self.plan = plan
        self._decoder = decoder
        # Most that lived together since the last time none did.
        self._rows = self._tokens = self._prompts = self._longest = 0

    def fitting(
        self,
        rows: int,
        live: Sequence[Seat],
        held_tokens: int,
        prompt_tokens: int,
        new_tokens: int,
        *,
        prompt: str | None = None,
    ) -> int:
        """Of so many rows of a prompt, those that fit.

        Args: live: what decodes. held_tokens: of all other prompts whose prefixes are kept.
              prompt: its name; None: it is none of those that decode.
        """
        plan, room = self.plan, None if self.plan is None else self.plan.room
        if plan is None or room is None:
            return rows
        groups = [
            (seat.group.live, len(seat.group.prefix.token_ids), seat.work.plan.max_new_tokens)
            for seat in live
        ]
        prefixes = plan.prefix_bytes(held_tokens + prompt_tokens)
        prefill = plan.prefill_bytes(prompt_tokens)
        names = {seat.work.search.prompt for seat in live}
        prompts = len(names) + (prompt is None or prompt not in names)

        def fits(count: int) -> bool:
            all_groups = [*groups, (count, prompt_tokens, new_tokens)]
            working = max(prefill, _step_bytes(plan, all_groups))
            return prefixes + self._kept(plan, all_groups, prompts) + working <= room

        return most_fitting(rows, fits)

    def opened(self, live: Sequence[Seat]) -> None:
        """Take note of what lives now."""
        if len(live) == 1:
            self._rows = self._tokens = self._prompts = self._longest = 0
        self._rows = max(self._rows, sum(seat.group.live for seat in live))
        self._tokens = max([self._tokens, *(seat.work.plan.max_new_tokens for seat in live)])
        self._prompts = max(self._prompts, len({seat.work.search.prompt for seat in live}))
        self._longest = max([self._longest, *(len(seat.group.prefix.token_ids) for seat in live)])

    def _kept(self, plan: MemoryPlan, groups: Sequence[tuple[int, int, int]], prompts: int) -> int:
        """Keys and values of all rows. Slots are as many and as long as was ever needed at once."""
        if not plan.footprint.shared:
            return sum(plan.suffix_bytes(*group) for group in groups)
        rows, tokens = sum(group[0] for group in groups), max(group[2] for group in groups)
        longest = max(group[1] for group in groups)
        if len(groups) > 1:
            rows, tokens = max(rows, self._rows), max(tokens, self._tokens)
            prompts, longest = max(prompts, self._prompts), max(longest, self._longest)
        kept = plan.suffix_bytes(rows, 0, tokens) + plan.copies_bytes(prompts, longest)
        return max(kept, stored_bytes(self._decoder))


def _step_bytes(plan: MemoryPlan, groups: Sequence[tuple[int, int, int]]) -> int:
    """What a step of all groups works with; rows that only fill a bucket up count as any."""
    rows = sum(group[0] for group in groups)
    longest = max(group[1] for group in groups), max(group[2] for group in groups)
    own = sum(plan.step_bytes(*group) for group in groups)
    return own + plan.step_bytes(plan.padded(rows) - rows, *longest)


def stored_bytes(decoder: Decoder) -> int:
    """What a decoder holds for suffixes now, as far as it tells."""
    return int(getattr(decoder, "nbytes", 0))


def clear_storage(decoder: Decoder) -> bool:
    """Have a decoder give back what it holds for suffixes; no group may be live.

    Returns whether there was any.
    """
    before = stored_bytes(decoder)
    getattr(decoder, "clear", lambda: None)()
    return stored_bytes(decoder) < before


def too_large(prompt_tokens: int, plan: Plan, memory: MemoryPlan | None) -> MemoryShortError:
    """Why not even two samples of a prompt can be decoded, and the cure.

    Args: memory: the plan that says so; None: it was tried, with one sample.
    """
    new = plan.max_new_tokens
    told = f"the prompt has {prompt_tokens} tokens and may be answered with {new} more"
    cure = "shorten the prompt or lower max_new_tokens"
    if memory is None:
        return MemoryShortError(
            f"the model's device ran out of memory with one sample alone: {told}: {cure}, or start "
            "the worker on a device with more memory"
        )
    rows = min(2, plan.samples)
    need = memory.need(rows, prompt_tokens, new)
    return MemoryShortError(
        f"{told}: to decode {rows} of its samples takes {said(need)} beside the model's weights, and "
        f"{said(max(0, memory.room or 0))} are there: {cure}, or raise PRELOGIT_MEMORY_GB "
        "(memory_gb) where it is set"
    )
