from __future__ import annotations

import pytest
from transformers import LlamaConfig

from prelogit.align import align
from prelogit.core.errors import InputError
from prelogit.core.records import Trace
from prelogit.engine.load import prepare
from prelogit.replay import replay_result
from prelogit.wire.jobs import JobRequest, PromptItem
from prelogit.wire.params import AISP, BestOfN
from tests import tiny

CONFIG = LlamaConfig(
    hidden_size=48,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    vocab_size=257,
    pad_token_id=0,
    bos_token_id=None,
    eos_token_id=0,
)


@pytest.mark.parametrize(
    "method",
    [
        AISP(n=3, iterations=2),
        AISP(n=3, iterations=2, proposal="mean"),
        AISP(n=3, iterations=2, proposal="mean", sigma2="auto"),
        AISP(n=3, iterations=2, horizon=4, sigma2="auto"),
        BestOfN(n=6, noise="gaussian", sigma2="auto"),
    ],
)
def test_every_candidate_can_be_made_again_from_the_trace_and_a_changed_one_is_told(
    method: AISP | BestOfN,
) -> None:
    model = prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer())
    (result,) = align(
        model, ["Hello"], tiny.scoring(tiny.vowels), method=method, max_new_tokens=10, keep="all"
    )
    request = JobRequest(prompts=("Hello",), method=method, max_new_tokens=10).filled(model="tiny")
    # Of another value than the trace's, as another machine may have measured it.
    model.__dict__["sigma2"] = 9.0
    trace = Trace.model_validate_json(result.trace.model_dump_json())
    item = PromptItem(prompt="Hello")
    for candidate in result.candidates:
        again = replay_result(model, item, request, trace, candidate)
        assert again.same
        assert again.text == candidate.text
    other = result.candidates[4].model_copy(update={"token_ids": (*candidate.token_ids[:2], 99)})
    told = replay_result(model, item, request, trace, other)
    assert not told.same
    assert told.first_difference is not None
    with pytest.raises(InputError, match="ends before"):
        replay_result(model, item, request, trace.model_copy(update={"iterations": ()}), candidate)
    with pytest.raises(InputError, match="width"):
        replay_result(model, item, request, trace.model_copy(update={"dim": 7}), candidate)
