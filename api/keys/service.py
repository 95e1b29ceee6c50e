"""Making, listing and ending keys, for admins."""

from __future__ import annotations

from pydantic import ValidationError

from api.body import parse_body
from api.deps import Gateway
from api.errors import invalid, missing, refused
from api.fields import field_problems
from api.keys.caller import Caller
from db import keys
from db.session import reading
from prelogit.wire.keys import KeyInfo, KeyRequest, NewKey


def create(raw: bytes, caller: Caller, here: Gateway) -> NewKey:
    """Makes a key of the caller's project, or of any for a caller that sees all.

    Raises: ProblemError: 422 with everything that is wrong.
    """
    try:
        request = KeyRequest.model_validate(parse_body(raw))
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)
        raise refused(field_problems(wrong, KeyRequest.model_json_schema())) from None
    if "project" not in request.model_fields_set:
        request = request.model_copy(update={"project": caller.project})
    if caller.sees not in (None, request.project):
        raise invalid(
            "project", "a key can make keys of its own project only", allowed=[caller.sees]
        )
    with here.store.begin() as session:
        return keys.create(session, request)


def listing(caller: Caller, here: Gateway) -> list[KeyInfo]:
    """The keys that the caller may see, the newest first."""
    with reading(here.store) as session:
        return keys.listing(session, project=caller.sees)


def revoke(key_id: str, caller: Caller, here: Gateway) -> None:
    """Ends a key, at once here and within seconds at other gateways. Raises ProblemError 404."""
    with here.store.begin() as session:
        found = keys.revoke(session, key_id, project=caller.sees)
    here.ring.forget(key_id)
    if found is None:
        raise missing(f"key {key_id}")
