"""What schemathesis is told about this API that a schema cannot say.

Cursors are opaque: what is made up is refused, as it must be. And the one that asks must not end its own account or
token, or all else would be answered with 401.
"""

from __future__ import annotations

import os
from typing import Any

import schemathesis

OWN_TOKEN = os.environ.get("TOKENWAY_TEST_TOKEN_ID", "")
OWN_USERS = {"admin", os.environ.get("TOKENWAY_TEST_USER_ID", "")}


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Leaves out made-up cursors where the request is to be a good one."""
    is_good = case.meta is None or case.meta.generation.mode is schemathesis.GenerationMode.POSITIVE
    if is_good and isinstance(case.query, dict):
        case.query.pop("cursor", None)


@schemathesis.hook
def filter_case(_context: Any, case: Any) -> bool:
    """Leaves out what would end who asks."""
    path = case.path_parameters or {}
    return path.get("token") != OWN_TOKEN and path.get("user") not in OWN_USERS
