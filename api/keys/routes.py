"""``/v1/keys``: make, list and revoke API keys, with a key of the scope ``admin``."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel

from api.body import Body
from api.deps import Here
from api.keys import service
from api.keys.caller import Who
from api.keys.guard import ADMINISTRATION
from api.openapi import KEY_BODY, problems
from prelogit.wire.keys import KeyInfo, NewKey

router = APIRouter(prefix="/v1/keys", tags=[ADMINISTRATION])


class KeyList(BaseModel):
    """Keys, the newest first; those that were revoked too. Never with their secrets."""

    object: Literal["list"] = "list"
    data: list[KeyInfo]


@router.post(
    "",
    status_code=201,
    summary="Make a key",
    responses=problems(400, 413, 415, 422),
    openapi_extra=KEY_BODY,
)
def create(body: Body, here: Here, who: Who) -> NewKey:
    """The answer is the only place where the key ever stands: only a hash of it is kept."""
    return service.create(body, who, here)


@router.get("", summary="All keys of the project", responses=problems())
def listing(here: Here, who: Who) -> KeyList:
    """What each may do, and when it was last used."""
    return KeyList(data=service.listing(who, here))


@router.delete("/{key_id}", status_code=204, summary="Revoke a key", responses=problems(404, 422))
def revoke(
    key_id: Annotated[str, Path(description="The key's id, as lists tell it.")],
    here: Here,
    who: Who,
) -> None:
    """It opens nothing from now on; what it has posted goes on."""
    service.revoke(key_id, who, here)
