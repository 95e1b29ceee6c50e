"""One turn of the rows: each gets its next token, or its method is asked which one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.engine.decoder import Decoder
from prelogit.engine.draw import draw
from prelogit.engine.graphs.static_draw import StaticDraw
from prelogit.engine.head import Head
from prelogit.engine.offer import Offer
from prelogit.engine.prefix import Group
from prelogit.engine.work import Seat
from prelogit.search.plan import Choice, Question, SearchId


class Turn(NamedTuple):
    """The seats whose rows go on with these tokens, and what is asked for the others, which wait."""

    seats: list[Seat]
    tokens: list[Tensor]  # i64[m] on CPU, for each seat
    asked: list[tuple[SearchId, Question]]


def take_turn(
    head: Head, seats: Sequence[Seat], static: StaticDraw | None, numbers: Iterator[int]
) -> Turn:
    """Tokens for all rows: those that were answered, and those that are drawn now.

    Args: seats: none of them waits. numbers: of the questions.
    """
    turn = Turn([], [], [])
    fresh = [seat for seat in seats if seat.group.told is None]
    drawn = draw(head, fresh, static) if fresh else None
    told = torch.empty(0, dtype=torch.long) if drawn is None else drawn.tokens.cpu()
    offers = {} if drawn is None else {id(fresh[at]): one for at, one in drawn.offers.items()}
    first = 0
    for seat in seats:
        group = seat.group
        mine = group.told
        if mine is None:
            mine = told[first : first + group.live]
            first += group.live
        if id(seat) in offers:
            group.asked = next(numbers)
            turn.asked.append((seat.work.search, _question(seat, group.asked, offers[id(seat)])))
        else:
            group.told = None
            turn.seats.append(seat)
            turn.tokens.append(mine)
    return turn


def answer(seats: Sequence[Seat], question: Question, choice: Choice) -> None:
    """Let the rows that wait for this question go on; nothing, where they have been given up."""
    for seat in seats:
        if seat.group.asked == question.number:
            seat.group.asked, seat.group.told = None, choice.token_ids
            seat.work.log_ratio[seat.group.sample] += choice.log_ratio
            seat.work.kl[seat.group.sample] += choice.kl


def record(decoder: Decoder, turn: Turn, ends: frozenset[int]) -> tuple[list[Group], list[Tensor]]:
    """Store the tokens and let the ended rows go; the groups that remain, and their tokens."""
    groups, kept = [], []
    for seat, tokens in zip(turn.seats, turn.tokens, strict=True):
        work, group = seat.work, seat.group
        step = group.decoded + 1
        ended = torch.tensor([token in ends for token in tokens.tolist()])
        work.record(group.sample, step, tokens, ended)
        over = work.over[group.sample].tolist()
        rows = [row for row, gone in enumerate(over) if not gone]
        if len(rows) < len(over):
            decoder.keep(group, rows)
        if rows:
            groups.append(group)
            kept.append(tokens[rows])
    return groups, kept


def _question(seat: Seat, number: int, offer: Offer) -> Question:
    work, group = seat.work, seat.group
    return Question(
        number=number,
        sample=torch.tensor(group.sample),
        step=group.decoded + 1,
        before=work.token_ids[group.sample, : group.decoded],
        token_ids=offer.token_ids,
        log_p=offer.log_p,
        tokens=int(work.length.sum()),
        decode_seconds=work.decode_seconds,
    )
