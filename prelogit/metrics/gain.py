"""What a search brought for what it cost: reward a generated token, reward a second."""

from __future__ import annotations

from prelogit.core.records import Result


def reward_per_token(result: Result, *, above: float = 0.0) -> float | None:
    """(reward - above) / tokens that the search generated; None without a reward or a token.

    A reward's zero is arbitrary: with ``above`` set to what the model reaches unaided (the mean
    of the first round, or a baseline's reward) the number says what the tokens have bought.
    """
    if result.reward is None or not result.generated_tokens:
        return None
    return (result.reward - above) / result.generated_tokens


def reward_per_second(result: Result, *, above: float = 0.0) -> float | None:
    """The same for seconds of decoding and scoring; waiting for others is not counted.

    Decoding is the prompt's share of the batch, so the number does not depend on how many
    prompts were in it.
    """
    spent = result.seconds.decode + result.seconds.reward
    if result.reward is None or not spent:
        return None
    return (result.reward - above) / spent
