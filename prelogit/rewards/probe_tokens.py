"""Whether a server reads more tokens than were sent: where the tokens are made here, that can be seen."""

from __future__ import annotations

from typing import Any

from prelogit.rewards.probe_calls import Asked
from prelogit.rewards.probe_texts import Item
from prelogit.rewards.servers.protocol import Written
from prelogit.rewards.servers.reward import ServerReward
from prelogit.rewards.servers.writing import writer


async def more_tokens_than_sent(reward: Any, asked: Asked, item: Item) -> int:
    """How many tokens the server reads beyond those of the one template that was applied.

    0 where that cannot be seen: no tokenizer is known here, or the server does not count.
    """
    if not isinstance(reward, ServerReward) or reward.settings.tokenizer is None:
        return 0
    read = (await asked([item])).tokens
    write = writer(reward.protocol, reward.settings)
    sent = _tokens(reward, write(item.conversation, item.response, 0))
    return max(0, read - sent) if read else 0


def _tokens(reward: ServerReward, written: Written) -> int:
    tokenizer = reward.settings.tokenizer
    if written.ids is not None:
        return len(written.ids)
    if written.pair is not None:
        return len(tokenizer(*written.pair, verbose=False)["input_ids"])
    special = reward.protocol.adds_special
    return len(tokenizer(written.text, add_special_tokens=special, verbose=False)["input_ids"])
