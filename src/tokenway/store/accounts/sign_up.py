"""Self-service: somebody makes an account of his own, with a key and something to begin with."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET

from tokenway.model.limits import Measure, Scope, Term
from tokenway.model.secret import Secret
from tokenway.store.accounts import passwords
from tokenway.store.accounts.changes import Change, Changes
from tokenway.store.accounts.keys import add_key
from tokenway.store.accounts.limits import set_limit
from tokenway.store.accounts.memberships import set_membership
from tokenway.store.accounts.projects import add_project, open_project
from tokenway.store.accounts.records import (
    Actor,
    KeyTerms,
    LimitTerms,
    MemberRole,
    ProjectRow,
    ProjectTerms,
    SignedUp,
    SignUpTerms,
    UserRow,
    UserTerms,
)
from tokenway.store.accounts.users import add_user
from tokenway.store.money import grant_in

KEY_NAME: Final = "first"
GRANT_NOTE: Final = "sign-up"
SIGNED_UP: Final = {"origin": "sign-up"}
"""The label of a user who made his account himself."""


def sign_up(
    changes: Changes, name: str, password: Secret, terms: SignUpTerms, *, address: str, node: str = ""
) -> SignedUp:
    """A user with his password, a project that he may use, and a key; all of it or nothing.

    The limits are the user's, so another key does not double them; and he is a member of his own project, no admin of
    it, so that he takes none away. `node` is the machine that does it. Raises Conflict when the name is taken, and
    Invalid.
    """
    secret = passwords.hashed(password)
    with changes.begin(Actor("sign-up", address)) as change:
        user = add_user(change, name, password=secret, terms=UserTerms(labels=dict(SIGNED_UP)))
        change.by = Actor(user.id, address)
        project = _project_for(change, user, terms, node)
        for each in terms.limits:
            set_limit(change, Scope.USER, user.id, each)
        shared = terms.project is not None and terms.grant
        budget = (LimitTerms(Measure.USD, terms.grant, Term.TOTAL),) if shared else ()
        key_terms = KeyTerms(user_id=user.id, models=UNSET if terms.models is None else terms.models)
        key = add_key(change, KEY_NAME, project=project.id, terms=key_terms, wanted=budget)
        return SignedUp(user, project, key)


def _project_for(change: Change, user: UserRow, terms: SignUpTerms, node: str) -> ProjectRow:
    """The project that all join, or a new one that is prepaid with the grant."""
    if terms.project is not None:
        set_membership(change, user.id, terms.project, MemberRole.MEMBER)
        return open_project(change.connection, terms.project)
    project = add_project(change, user.name, terms=ProjectTerms(prepaid=True))
    set_membership(change, user.id, project.id, MemberRole.MEMBER)
    if terms.grant:
        grant_in(change, project.id, terms.grant, GRANT_NOTE, node)
    return project
