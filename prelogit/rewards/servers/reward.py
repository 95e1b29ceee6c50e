"""A reward model behind a server of others, as a ``Score``."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from typing import Any

import httpx

from prelogit.core.errors import RewardAnswerError
from prelogit.core.records import ModelRef
from prelogit.rewards.address import parse_address
from prelogit.rewards.caller import Caller, Patience, RefusedError
from prelogit.rewards.judge import completions
from prelogit.rewards.key import key_reader
from prelogit.rewards.protocol import Scores, check
from prelogit.rewards.servers.options import settings
from prelogit.rewards.servers.protocol import Asked, Protocol, Said, Written
from prelogit.rewards.servers.range import Range
from prelogit.rewards.servers.writing import writer
from prelogit.wire.server_text import SECONDS

log = logging.getLogger("prelogit.rewards")


class ServerReward:
    """A reward of a server that speaks one of ``PROTOCOLS``.

    A call is sent in parts, a few at once; each number is put at the place of its response.
    Connections are shared by calls that overlap; ``async with`` keeps them open between calls.
    ``bounds``: lowest and highest reward, None for raw numbers.

    Args:   url: http(s)://host:port, with a path where the server has one, user:password@ and
            #model where needed. options: of the protocol, ``key_env`` (NAME of the environment
            variable with a bearer key) or ``key`` (a function that reads it), ``public_only`` (never
            connect to a private address), ``timeout_seconds``, ``patience_seconds``,
            ``items_per_request``, ``bytes_per_request``, ``requests_at_once``.
    Raises: InputError: an option or the URL cannot be one. ModelError: no such tokenizer.
    """

    def __init__(self, protocol: Protocol, url: str, **options: Any) -> None:
        address = parse_address(url, what=f"the URL of the {protocol.name} server")
        if address.reward is not None and "model" in protocol.options:
            options = {"model": address.reward, **options}
        self.settings = settings(protocol, options)
        self.protocol = protocol
        self.name = self.settings.model or protocol.name
        self.bounds = protocol.bounds(self.settings)
        self._items = options.get("items_per_request") or protocol.items
        self._bytes = options.get("bytes_per_request") or 1_000_000
        self._at_once = options.get("requests_at_once") or protocol.at_once
        self._write = writer(protocol, self.settings)
        self._writing = threading.Lock()  # tokenizers are not made for several threads
        self._softened = False
        self._range = Range()
        self._who = f"the {protocol.name} server at {address.shown}"
        place, path = _place(address.url, protocol)
        self._caller = Caller(
            address._replace(url=place),
            path,
            Patience(**{name: options[name] for name in SECONDS & options.keys()}),
            who=f"the {protocol.name} server",
            cure="start it, correct its URL, or give it more patience",
            answer=f"JSON: check that the URL is that of a server that speaks {protocol.name}",
            busy=protocol.busy,
            key=options.get("key") or key_reader(options.get("key_env"), whose="the reward's key"),
            public_only=options.get("public_only", False),
        )

    def __repr__(self) -> str:
        return f"ServerReward({self.protocol.name!r}, {self.name!r}, {self._who!r})"

    async def __aenter__(self) -> ServerReward:
        await self._caller.shared.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._caller.shared.leave()

    async def __call__(
        self, conversations: list[list[dict[str, str]]], responses: list[str]
    ) -> Scores:
        """Scores, as ``protocol.Score`` promises; ``calls`` counts the requests."""
        started = time.perf_counter()
        if self.settings.tokenizer is None:
            written = self._written(conversations, responses)
        else:
            written = await asyncio.to_thread(self._written, conversations, responses)
        requests = list(self.protocol.ask(written, self.settings, self._items, self._bytes))
        places = asyncio.Semaphore(self._at_once)
        async with self._caller.shared.held() as client:

            async def ask(asked: Asked) -> Said:
                async with places:
                    return await self._ask(client, asked)

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(ask(asked)) for asked in requests]
            except BaseExceptionGroup as failed:  # one reason is enough
                raise failed.exceptions[0] from None
        return self._scores(written, requests, [task.result() for task in tasks], started)

    def _written(
        self, conversations: list[list[dict[str, str]]], responses: list[str]
    ) -> list[Written]:
        with self._writing:
            return [
                self._write([_unicode_turn(turn) for turn in conversation], _unicode(text), place)
                for place, (conversation, text) in enumerate(
                    zip(conversations, responses, strict=True)
                )
            ]

    async def _ask(self, client: httpx.AsyncClient, asked: Asked) -> Said:
        body = asked.body
        if self._softened:
            body = self.protocol.soften(body, 400) or body
        try:
            try:
                answer = await self._caller.post_any(client, _encoded(body))
            except RefusedError as refused:
                softer = self.protocol.soften(body, refused.status)
                if softer is None:
                    raise
                answer = await self._caller.post_any(client, _encoded(softer))
                self._softened = True
        except RewardAnswerError as error:
            raise RewardAnswerError(f"{error} (asked about {_shown(asked)})") from None
        try:
            return self.protocol.read(answer, asked, self.settings)
        except RewardAnswerError as error:
            raise RewardAnswerError(f"{self._who}: {error}") from None

    def _scores(
        self, written: list[Written], requests: list[Asked], said: list[Said], started: float
    ) -> Scores:
        rewards: list[object] = [None] * len(written)
        cut: list[bool | None] = [one.cut for one in written]
        for asked, answer in zip(requests, said, strict=True):
            for number, place in enumerate(asked.places):
                rewards[place] = answer.values[number]
                if answer.cut is not None:
                    cut[place] = answer.cut[number]
        models = {answer.model for answer in said if answer.model is not None}
        if len(models) > 1:
            raise RewardAnswerError(
                f"{self._who} answered as two different models in one call "
                f"({', '.join(map(repr, sorted(models)))}): let one model serve all requests"
            )
        known = [one for one in cut if one is not None]
        try:
            checked = check(rewards, len(written))
        except RewardAnswerError as error:
            raise RewardAnswerError(f"{self._who}: {error}") from None
        if self.bounds is None and self._range.looks_bounded(checked.tolist()):
            log.warning(
                "All rewards of %s lie between 0 and 1: if its model gives raw numbers, the server "
                "applies an activation that cannot be switched off from here, and differences between "
                "good responses are squeezed away.",
                self._who,
            )
        return Scores(
            rewards=checked,
            reward=ModelRef(name=models.pop() if models else self.name),
            tokens=sum(answer.tokens for answer in said),
            calls=len(requests),
            seconds=time.perf_counter() - started,
            truncated=tuple(known) if len(known) == len(cut) else None,
        )


def _place(url: str, protocol: Protocol) -> tuple[str, str]:
    """Address and path; a URL may already end with the path, or as OpenAI's do."""
    if protocol.path.endswith("/chat/completions"):
        return completions(url)
    for ending in (protocol.path, *protocol.strip):
        url = url.removesuffix(ending)
    return url, protocol.path


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")


def _unicode(text: str) -> str:
    """Half of a surrogate pair is no Unicode; a question mark takes its place, as in any request."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _unicode_turn(turn: dict[str, str]) -> dict[str, str]:
    return {name: _unicode(text) for name, text in turn.items()}


def _shown(asked: Asked) -> str:
    first, last = asked.places[0], asked.places[-1]
    return f"response {first}" if first == last else f"responses {first} to {last}"
