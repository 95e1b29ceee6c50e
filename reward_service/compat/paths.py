"""Which path speaks which protocols, told apart by the body where several share one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from fastapi.routing import APIRoute

from reward_service.compat.infinity import INFINITY_RERANK
from reward_service.compat.openrlhf import OPENRLHF
from reward_service.compat.protocol import Protocol, parse, serve
from reward_service.compat.sglang import SGLANG
from reward_service.compat.tei import TEI_PREDICT, TEI_RERANK
from reward_service.compat.vllm import VLLM_CLASSIFY, VLLM_POOLING
from reward_service.compat.vllm_score import VLLM_RERANK, VLLM_SCORE
from reward_service.errors import ProblemError

RERANK = (TEI_RERANK, INFINITY_RERANK, VLLM_RERANK)
PATHS: dict[str, tuple[Protocol, ...]] = {
    "/get_reward": (OPENRLHF,),
    "/classify": (SGLANG, VLLM_CLASSIFY),
    "/v1/classify": (VLLM_CLASSIFY,),
    "/pooling": (VLLM_POOLING,),
    "/v1/pooling": (VLLM_POOLING,),
    "/score": (VLLM_SCORE,),
    "/predict": (TEI_PREDICT,),
    "/rerank": RERANK,
    "/v1/rerank": RERANK,
    "/v2/rerank": RERANK,
}
"""The last one of a path answers a body that is of none."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

router = APIRouter()


class SharedRoute(APIRoute):
    """Our own ``/v1/score``, which is also vLLM's: a body with its fields is answered as it does."""

    def get_route_handler(self) -> Handler:
        own: Handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            if self.path == "/v1/score":
                content = await request.body()
                theirs = b'"conversations"' not in content and VLLM_SCORE.speaks(_object(content))
                if theirs:
                    return await serve(VLLM_SCORE, request, content)
            return await own(request)

        return handle


def _handler(protocols: tuple[Protocol, ...]) -> Handler:
    async def handle(request: Request) -> Response:
        try:
            content = await request.body()
        except ProblemError as error:  # too large
            return protocols[-1].refuse(error.problem, error.retry)
        body = _object(content)
        chosen = next((each for each in protocols if each.speaks(body)), protocols[-1])
        return await serve(chosen, request, content)

    return handle


def _object(content: bytes) -> dict[str, Any]:
    """The JSON object that a body is, empty when it is none: its protocol then says so."""
    try:
        found = parse(content)
    except ProblemError:
        return {}
    return found if isinstance(found, dict) else {}


def _add(path: str, protocols: tuple[Protocol, ...]) -> None:
    names = ", ".join(dict.fromkeys(each.name for each in protocols))
    router.add_api_route(
        path,
        _handler(protocols),
        methods=["POST"],
        summary=f"As {names}",
        operation_id="as" + path.replace("/", "_"),
        response_class=Response,
    )


for _path, _protocols in PATHS.items():
    _add(_path, _protocols)
