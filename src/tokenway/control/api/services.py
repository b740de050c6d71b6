"""What the API is given by the control process: nothing here is made by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec

from tokenway.control.api.attempts import Attempts, Window
from tokenway.control.aside import Asides
from tokenway.control.configuration import Configuration
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.open import Store
from tokenway.store.seal import Seal


class Services(msgspec.Struct, frozen=True):
    """The control process as the API sees it.

    `run` calls a function in the store's thread; `settings` and `snapshot` give what is in force (the snapshot without
    keys); `figures` the velocity of endpoints by id; `drain` brings the ledger up to date, in the store's thread.
    `asides` read long without it.
    """

    run: Callable[..., Awaitable[Any]]
    store: Store
    seal: Seal
    configuration: Configuration
    settings: Callable[[], Settings]
    snapshot: Callable[[], Snapshot]
    figures: Callable[[Iterable[str]], dict[str, dict[str, object]]]
    drain: Callable[[], object]
    asides: Asides
    clock: Callable[[], float]
    is_enabled_by_environment: Callable[[str], bool]
    attempts: Attempts
    signed_up: Window

    @property
    def accounts(self) -> Accounts:
        """What is in the store about accounts."""
        return self.store.accounts
