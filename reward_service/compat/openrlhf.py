"""OpenRLHF: ``POST /get_reward``.

``query`` are whole texts, prompt and response with the template, and ``prompts`` what they begin
with. A reward that scores whole texts gets them as they stand; another one gets each prompt as
one user message and the rest of the query as the response. What is too long is cut as the reward
is set, as that server cuts without a word.
"""

from __future__ import annotations

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Scored
from reward_service.compat.protocol import Answer, Asking, Body, Protocol
from reward_service.errors import respond


class RewardBody(Body):
    """The labels that its clients send too are not read."""

    query: list[str]
    prompts: list[str] | None = None
    model: str | None = None


async def answer(body: RewardBody, asking: Asking) -> Answer:
    """One number for each query, in order."""
    batcher = asking.find(body.model)
    if not body.query:
        return Answer({"rewards": []}, Scored([], []))
    if batcher.hosted.score_text is not None:
        scored = await asking.texts(batcher, body.query)
    else:
        prompts, responses = _split(batcher.hosted.name, body)
        before = [[{"role": "user", "content": prompt}] for prompt in prompts]
        scored = await asking.pairs(batcher, before, responses)
    return Answer({"rewards": scored.scores}, scored)


def _split(name: str, body: RewardBody) -> tuple[list[str], list[str]]:
    if body.prompts is None or len(body.prompts) != len(body.query):
        raise InputError(
            f"the reward {name!r} cannot score whole texts: send prompts too, one for each query",
            field="prompts",
        )
    for place, (query, prompt) in enumerate(zip(body.query, body.prompts, strict=True)):
        if not query.startswith(prompt):
            raise InputError(
                f"query {place} does not begin with its prompt, so that the response in it is not "
                f"known, and the reward {name!r} cannot score whole texts",
                field=f"query.{place}",
            )
    rest = [query[len(prompt) :] for query, prompt in zip(body.query, body.prompts, strict=True)]
    return body.prompts, rest


# Its clients read nothing of an error but the status: the form is our own.
OPENRLHF = Protocol(
    "openrlhf",
    RewardBody,
    answer,
    lambda problem, retry: respond(problem, retry=retry),
    lambda body: "query" in body,
)
