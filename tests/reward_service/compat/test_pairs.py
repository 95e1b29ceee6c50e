"""Protocols whose items are pairs, and rewards that score nothing else, over HTTP."""

from __future__ import annotations

import math
from typing import Any

import pytest

from prelogit.core.errors import RewardUnavailableError
from tests.reward_service.conftest import Service

DOCUMENTS = ["bb", "dddd", "bb", "", "雨🌧雨"]
LENGTHS = [2.2, 4.2, 2.2, 0.2, 3.2]  # the query "qq" gives each 0.2
BEST_FIRST = [1, 4, 0, 2, 3]  # of two that tie the first stands first


def post(service: Service, path: str, body: Any, status: int = 200) -> Any:
    answer = service.http.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("text_1", "text_2"),
        ("queries", "documents"),
        ("queries", "items"),
        ("data_1", "data_2"),
    ],
)
def test_vllm_score_under_all_its_names(functions: Service, path: str, one: str, two: str) -> None:
    found = post(functions, path, {"model": "length", one: "qq", two: DOCUMENTS})
    assert [each["score"] for each in found["data"]] == pytest.approx(LENGTHS)
    assert [each["index"] for each in found["data"]] == list(range(5))
    several = {"model": "length", one: ["q" * 10, "qq"], two: ["a", "a"]}
    assert [each["score"] for each in post(functions, path, several)["data"]] == [2.0, 1.2]
    single = post(functions, path, {"model": "length", one: "qq", two: "a"})
    assert [each["score"] for each in single["data"]] == [1.2]


def test_vllm_score_refuses_what_does_not_fit_together(functions: Service) -> None:
    for body, said in (
        ({"text_1": ["a", "b"], "text_2": ["c", "d", "e"]}, "2 texts and text_2 3"),
        ({"text_1": "a", "text_2": []}, "text_2 is empty"),
        ({"text_1": "a"}, "give text_1 and text_2"),
        ({"text_1": "a", "text_2": [{"content": []}]}, "text_2"),
    ):
        refused = post(functions, "/v1/score", {"model": "length", **body}, 400)["error"]
        assert said in refused["message"]
        assert refused["type"] == "BadRequestError"


def test_our_own_score_is_still_its_own(functions: Service) -> None:
    body = {"reward": "length", "conversations": [[]], "responses": ["aa"]}
    assert post(functions, "/v1/score", body)["scores"] == [2.0]
    refused = functions.http.post("/v1/score", json={"responses": ["text_1"]})
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_vllm_rerank_is_best_first(functions: Service, path: str) -> None:
    body = {"model": "length", "query": "qq", "documents": DOCUMENTS}
    found = post(functions, path, body)["results"]
    assert [each["index"] for each in found] == BEST_FIRST
    for each in found:
        assert each["relevance_score"] == pytest.approx(LENGTHS[each["index"]])
        assert each["document"] == {"text": DOCUMENTS[each["index"]]}
    two = post(functions, path, {**body, "top_n": 2})["results"]
    assert [each["index"] for each in two] == BEST_FIRST[:2]
    asked = post(functions, path, {**body, "use_activation": True})["results"]
    assert asked[0]["relevance_score"] == pytest.approx(1 / (1 + math.exp(-4.2)))


def test_infinity_rerank_is_known_by_its_fields(functions: Service) -> None:
    body = {"model": "length", "query": "qq", "documents": DOCUMENTS}
    found = post(functions, "/rerank", {**body, "raw_scores": True, "top_n": 3})
    assert found["object"] == "rerank"
    assert [each["index"] for each in found["results"]] == BEST_FIRST[:3]
    assert [each["document"] for each in found["results"]] == [None] * 3
    told = post(functions, "/rerank", {**body, "return_documents": True})["results"]
    assert [each["document"] for each in told] == [DOCUMENTS[place] for place in BEST_FIRST]
    assert told[0]["relevance_score"] == pytest.approx(4.2)  # raw unless asked otherwise
    asked = post(functions, "/rerank", {**body, "raw_scores": False})["results"]
    assert asked[0]["relevance_score"] == pytest.approx(1 / (1 + math.exp(-4.2)))
    empty = post(functions, "/rerank", {"query": "q", "documents": [], "raw_scores": True}, 400)
    assert empty["error"]["param"] == "documents"


def test_tei_rerank_is_known_by_its_texts(functions: Service) -> None:
    body = {"query": "qq", "texts": DOCUMENTS}
    answer = functions.http.post("/rerank?reward=length", json={**body, "return_text": True})
    found = answer.json()
    assert [each["index"] for each in found] == BEST_FIRST
    assert [each["text"] for each in found] == [DOCUMENTS[place] for place in BEST_FIRST]
    assert [each["score"] for each in found] == pytest.approx(sorted(LENGTHS, reverse=True))
    unnamed = post(functions, "/rerank", body, 413)  # two rewards, and none named
    assert "length, broken by model or" in unnamed["error"]
    assert "?reward=" in unnamed["error"]
    refused = functions.http.post("/rerank?reward=length", json={"query": "q", "texts": []})
    assert refused.status_code == 413
    assert refused.json()["error_type"] == "Validation"


def test_openrlhf_splits_queries_for_rewards_that_need_a_conversation(functions: Service) -> None:
    body = {"query": ["0123456789aa", "qqb"], "prompts": ["0123456789", "qq"]}
    answer = functions.http.post("/get_reward?reward=length", json=body)
    assert answer.json() == {"rewards": [3.0, 1.2]}
    for wrong, said in (
        ({"query": ["ab"]}, "send prompts"),
        ({"query": ["ab"], "prompts": ["a", "b"]}, "one for each"),
        ({"query": ["ab", "ab"], "prompts": ["a", "b"]}, "query 1 does not begin"),
        ({"query": "ab"}, "query"),
    ):
        refused = functions.http.post("/get_reward?reward=length", json=wrong)
        assert refused.status_code == 422
        assert said in refused.json()["detail"]


def test_whole_texts_are_refused_by_rewards_that_cannot_score_them(functions: Service) -> None:
    refused = post(functions, "/classify", {"model": "length", "input": "x"}, 400)["error"]
    assert "'length' cannot score a whole text" in refused["message"]
    tei = functions.http.post("/predict?reward=length", json={"inputs": "x"})
    assert tei.status_code == 413
    assert "cannot score a whole text" in tei.json()["error"]
    pair = functions.http.post("/predict?reward=length", json={"inputs": ["qq", "bb"]})
    assert pair.json()[0]["score"] == pytest.approx(2.2)


def test_nonsense_never_leaves_as_a_number(functions: Service) -> None:
    error = post(functions, "/score", {"model": "broken", "text_1": "a", "text_2": "b"}, 500)
    assert error["error"]["type"] == "InternalServerError"
    assert "nan" in error["error"]["message"]
    tei = functions.http.post("/rerank?reward=broken", json={"query": "a", "texts": ["b"]})
    assert (tei.status_code, tei.json()["error_type"]) == (424, "Backend")
    rlhf = functions.http.post(
        "/get_reward?reward=broken", json={"query": ["ab"], "prompts": ["a"]}
    )
    assert rlhf.status_code == 502


def test_a_body_that_is_too_large_is_refused_in_each_form(functions: Service) -> None:
    text = "x" * 5000
    for path, body, form in (
        ("/rerank", {"query": "a", "documents": [text]}, ["error"]),
        ("/predict", {"inputs": text}, ["error", "error_type"]),
    ):
        answer = functions.http.post(path, json=body)
        assert answer.status_code == 413
        assert list(answer.json()) == form
        assert "4096 bytes" in answer.text


def test_a_full_queue_is_busy_in_each_form(
    functions: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    batcher = functions.app.state.hosting.find("length")

    async def full(*_: object) -> None:
        raise RewardUnavailableError("8 responses already wait for the reward 'length'")

    monkeypatch.setattr(batcher, "submit", full)
    vllm = functions.http.post(
        "/rerank", json={"model": "length", "query": "a", "documents": ["b"]}
    )
    assert (vllm.status_code, vllm.json()["error"]["type"]) == (503, "ServiceUnavailableError")
    assert int(vllm.headers["retry-after"]) > 0
    tei = functions.http.post("/rerank?reward=length", json={"query": "a", "texts": ["b"]})
    assert (tei.status_code, tei.json()["error_type"]) == (429, "Overloaded")


def test_the_paths_are_described(functions: Service) -> None:
    paths = functions.http.get("/openapi.json").json()["paths"]
    assert {"/get_reward", "/classify", "/pooling", "/score", "/predict", "/rerank"} <= set(paths)
    assert "/v1/score" in paths


def test_a_crash_tells_nothing_of_the_inside(
    functions: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(functions.app.state.hosting.find("length"), "submit", crash)
    error = post(functions, "/score", {"model": "length", "text_1": "a", "text_2": "b"}, 500)
    assert "secret" not in str(error)
