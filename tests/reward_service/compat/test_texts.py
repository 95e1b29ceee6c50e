"""Protocols whose items are whole texts, over HTTP: one template, one BOS, the raw number, in order."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from tests.reward_service.conftest import Service

RESPONSES = ["yes", "no, it rains.", "yes", "", "Ünïcödé 雨 🌧"]
LONG = "and then it rained and rained all night and all day, on and on"


def templated(response: str) -> str:
    """What the classifier's template makes of an answer to "does it rain?"."""
    return f"<s><|user|>does it rain?</s><|assistant|>{response}</s>"


def near(values: list[float]) -> Any:
    return pytest.approx(values, abs=1e-4)


def post(service: Service, path: str, body: Any, status: int = 200) -> Any:
    answer = service.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
def expected(whole: Callable[[str], float]) -> list[float]:
    found = [whole(response) for response in RESPONSES]
    assert found[0] == found[2]  # ties stay
    assert max(found) - min(found) > 0.1  # else an order would say nothing
    return found


def test_openrlhf_scores_queries_as_they_stand(classifier: Service, expected: list[float]) -> None:
    texts = [templated(response) for response in RESPONSES]
    body = {"query": texts, "prompts": ["x"] * 5, "labels": [None] * 5}
    assert post(classifier, "/get_reward", body) == {"rewards": near(expected)}
    bare = {"query": [text.removeprefix("<s>") for text in texts]}
    assert post(classifier, "/get_reward", bare)["rewards"] == near(expected)
    assert post(classifier, "/get_reward", {"query": []}) == {"rewards": []}
    over = classifier.http.post("/get_reward", json={"query": [texts[0], templated(LONG)]})
    assert over.status_code == 200  # as that server, but it is said
    assert over.headers["x-prelogit-truncated"] == "1"


@pytest.mark.parametrize("path", ["/classify", "/v1/classify"])
def test_vllm_classify(classifier: Service, expected: list[float], path: str) -> None:
    texts = [templated(response) for response in RESPONSES]
    found = post(classifier, path, {"model": "rm", "input": texts})
    assert [each["index"] for each in found["data"]] == list(range(5))
    assert [each["probs"][0] for each in found["data"]] == near(expected)
    assert {each["num_classes"] for each in found["data"]} == {1}
    assert found["model"] == "rm"
    assert found["usage"]["prompt_tokens"] == sum(21 + len(r) - 3 for r in RESPONSES)
    one = post(classifier, path, {"input": texts[1]})
    assert [each["probs"][0] for each in one["data"]] == near([expected[1]])
    asked = post(classifier, path, {"input": texts, "use_activation": True})
    sigmoids = [1 / (1 + math.exp(-score)) for score in expected]
    assert [each["probs"][0] for each in asked["data"]] == near(sigmoids)


def test_vllm_messages_are_templated_once(classifier: Service, expected: list[float]) -> None:
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "does it rain?"}]},
        {"role": "assistant", "content": RESPONSES[1]},
    ]
    for path in ("/classify", "/pooling"):
        (found,) = post(classifier, path, {"messages": turns})["data"]
        assert found.get("probs", found.get("data")) == near([expected[1]])
    for wrong in (
        {"messages": turns[:1]},
        {"messages": []},
        {"messages": turns, "add_generation_prompt": True},
        {"messages": turns, "chat_template": "x"},
        {"messages": turns, "input": "x"},
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
        {},
    ):
        assert post(classifier, "/classify", wrong, 400)["error"]["type"] == "BadRequestError"


def test_vllm_pooling(classifier: Service, expected: list[float]) -> None:
    texts = [templated(response) for response in RESPONSES]
    for path in ("/pooling", "/v1/pooling"):
        found = post(classifier, path, {"input": texts})["data"]
        assert all(len(each["data"]) == 1 for each in found)
        assert [each["data"][0] for each in found] == near(expected)
        assert {each["object"] for each in found} == {"pooling"}
    for wrong in ({"encoding_format": "base64"}, {"dimensions": 2}, {"task": "token_embed"}):
        post(classifier, "/pooling", {"input": texts, **wrong}, 400)


def test_vllm_refuses_in_its_own_form(classifier: Service) -> None:
    unknown = post(classifier, "/classify", {"model": "rmm", "input": "x"}, 404)["error"]
    assert unknown["type"] == "NotFoundError"
    assert unknown["code"] == 404
    assert "did you mean 'rm'" in unknown["message"]
    long = post(classifier, "/classify", {"input": ["x", templated(LONG)]}, 400)["error"]
    assert "text 1 is longer than the 60 tokens" in long["message"]
    for wrong in ([[1, 2, 3], "x"], [1, "x"], [True], 7, [[1, 2, 9999]], [[]]):
        assert post(classifier, "/classify", {"input": wrong}, 400)["error"]["message"]
    assert "empty" in post(classifier, "/classify", {"input": []}, 400)["error"]["message"]
    headers = {"content-type": "application/json"}
    for content, said in (
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[1]", "valid dictionary"),
        (b'{"input": "\\ud800"}', "half of a surrogate"),
        (b'{"input": ' + b"[" * 900 + b"]" * 900 + b"}", "input"),
        (b'{"input": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", ""),
    ):
        answer = classifier.http.post("/classify", content=content, headers=headers)
        assert answer.status_code == 400
        assert said in answer.json()["error"]["message"]


def test_vllm_cuts_only_where_it_is_told_to(classifier: Service) -> None:
    text = templated(LONG)
    for allowed in (-1, 60, 512):
        body = {"input": text, "truncate_prompt_tokens": allowed}
        answer = classifier.http.post("/classify", json=body)
        assert answer.status_code == 200
        assert answer.headers["x-prelogit-truncated"] == "0"
        assert answer.json()["usage"]["prompt_tokens"] == 60
    for wrong in ({"truncate_prompt_tokens": 30}, {"truncation_side": "right"}):
        post(classifier, "/classify", {"input": text, "truncate_prompt_tokens": -1, **wrong}, 400)


def test_an_activation_of_one_of_several_labels_is_refused(three: Service) -> None:
    raw = post(three, "/classify", {"input": "yes"})
    assert len(raw["data"][0]["probs"]) == 1
    refused = post(three, "/classify", {"input": "yes", "use_activation": True}, 400)["error"]
    assert "one of 3 labels" in refused["message"]


def test_sglang_shares_the_path_and_has_its_own_answers(
    classifier: Service, expected: list[float]
) -> None:
    texts = [templated(response) for response in RESPONSES]
    found = post(classifier, "/classify", {"model": "rm", "text": texts})
    assert all(len(each["embedding"]) == 1 for each in found)
    assert [each["embedding"][0] for each in found] == near(expected)
    assert found[0]["meta_info"]["prompt_tokens"] == 21
    bare = post(classifier, "/classify", {"text": texts[1]})
    assert bare["embedding"] == near([expected[1]])
    listed = post(classifier, "/classify", {"text": texts[1:2]})
    assert [each["embedding"][0] for each in listed] == near([expected[1]])
    for wrong in (
        {"text": []},
        {"text": [templated(LONG)]},
        {"text": texts, "model": "x"},
        {"text": [1]},
        {"text": "a", "input_ids": [1, 2]},
        {"input_ids": []},
        {"input_ids": [1, 9999]},
    ):
        assert list(post(classifier, "/classify", wrong, 400)["error"]) == ["message"]


def test_token_ids_are_scored_as_they_stand(classifier: Service, tokenizer: Any) -> None:
    text = templated("yes")
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    (expected,) = post(classifier, "/classify", {"input": text})["data"][0]["probs"]
    for given, count in ((ids, 1), ([ids], 1), ([ids, ids], 2)):
        vllm = post(classifier, "/pooling", {"input": given})["data"]
        assert [each["data"][0] for each in vllm] == near([expected] * count)
    bare = post(classifier, "/classify", {"input_ids": ids})
    listed = post(classifier, "/classify", {"input_ids": [ids, ids]})
    assert bare["embedding"] == near([expected])
    assert [each["embedding"][0] for each in listed] == near([expected] * 2)


def test_tei_predict_knows_a_pair_from_a_batch(classifier: Service, expected: list[float]) -> None:
    text = templated(RESPONSES[0])
    pair = ["does it rain?", RESPONSES[1]]
    (one,) = post(classifier, "/predict", {"inputs": text})
    assert one["label"] == "rm"
    assert one["score"] == pytest.approx(expected[0], abs=1e-4)
    (paired,) = post(classifier, "/predict", {"inputs": pair})  # ONE pair, as that server has it
    assert paired["score"] == pytest.approx(expected[1], abs=1e-4)
    (single,) = post(classifier, "/predict", {"inputs": [text]})  # one text, not a batch
    assert single["score"] == pytest.approx(expected[0], abs=1e-4)
    batch = post(classifier, "/predict", {"inputs": [[text], pair, [text]]})
    assert [each["score"] for (each,) in batch] == near([expected[0], expected[1], expected[0]])
    (asked,) = post(classifier, "/predict", {"inputs": text, "raw_scores": False})
    assert asked["score"] == pytest.approx(1 / (1 + math.exp(-expected[0])), abs=1e-4)


def test_tei_refuses_in_its_own_form(classifier: Service) -> None:
    for inputs in (["a", "b", "c"], [["a", "b", "c"]], [], [[]], 7, [["a"], "b"], ["a", ["b"]]):
        refused = post(classifier, "/predict", {"inputs": inputs}, 413)
        assert refused["error_type"] == "Validation"
        assert refused["error"]
    long = {"inputs": [[templated(LONG)]]}
    assert "truncate to true" in post(classifier, "/predict", long, 413)["error"]
    assert "text 0" in post(classifier, "/predict", {**long, "truncate": False}, 413)["error"]
    assert len(post(classifier, "/predict", {**long, "truncate": True})) == 1
    aside = {**long, "truncate": True, "truncation_direction": "Right"}
    assert "side" in post(classifier, "/predict", aside, 413)["error"]
    named = classifier.http.post("/predict?reward=rmm", json={"inputs": "x"})
    assert named.status_code == 413
    assert "did you mean 'rm'" in named.json()["error"]


def test_a_response_of_ten_thousand_characters(classifier: Service) -> None:
    text = templated("rain " * 2000)
    body = {"input": text, "truncate_prompt_tokens": -1}
    found = post(classifier, "/classify", body)["data"][0]["probs"][0]
    assert math.isfinite(found)
