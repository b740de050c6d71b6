"""Self-service: somebody makes an account of his own, with a key that is shown once."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Gateway, Guarded, address_of
from tokenway.control.api.keys import KeyMade, made
from tokenway.control.api.problems import Problem
from tokenway.control.api.projects import ProjectShown
from tokenway.control.api.projects import shown as shown_project
from tokenway.control.api.types import Body, Shown
from tokenway.control.api.users import Password, UserName, UserShown
from tokenway.control.api.users import shown as shown_user
from tokenway.control.sign_up import terms_of
from tokenway.model.secret import Secret

router = APIRouter(route_class=Guarded, tags=["session"])


class SignUp(Body):
    """Who wants an account."""

    name: UserName
    password: Password


class SignedUp(Shown):
    """An account, with its project and its first key."""

    user: UserShown
    project: ProjectShown
    key: KeyMade


@router.post("/signup", status_code=201, response_model=SignedUp)
async def sign_up(request: Request, services: Gateway, body: SignUp, key: once.Key = None) -> Response:
    """Makes an account, where the configuration allows it (`signup.enabled`)."""
    settings = services.settings().signup
    if not settings.enabled:
        raise Problem(403, "accounts are made by an admin here")
    address = address_of(request)
    wait = services.signed_up.take(address, settings.per_hour)
    if wait:
        raise Problem(
            429,
            "too many accounts were made from this address; wait and try again",
            headers={"retry-after": str(int(wait) + 1)},
        )
    password, terms = Secret(body.password), terms_of(settings)

    def work() -> SignedUp:
        done = services.accounts.sign_up(body.name, password, terms, address=address)
        return SignedUp(user=shown_user(done.user), project=shown_project(done.project), key=made(done.key, services))

    return await once.create(services, request, f"sign-up {address}", key, work)
