"""A provider that behaves, or misbehaves, exactly as a test says: a raw-socket HTTP/1.1 server on loopback.

* `Script` says what to do with one request; every field is one behaviour.
* `Reply` is what is said, in no vendor's words; each dialect has a renderer of it.
* `FakeProvider` serves: scripts from its queue first, then the case that the model's name selects (`tools`) or
  spells (`fake?chunks=64&gap=0.02&usage=none`), then its default.
* `Received` is what it keeps of each request: the bytes, what was sent, who left first, and the bill.

README.md beside this file lists the paths and the cases.
"""

from __future__ import annotations

from tests.fake_provider.cases import CASES, REPLIES
from tests.fake_provider.play import Received
from tests.fake_provider.reply import Reply
from tests.fake_provider.scripts import Bill, Script, UsageMode, spell
from tests.fake_provider.server import FakeProvider

__all__ = ["CASES", "REPLIES", "Bill", "FakeProvider", "Received", "Reply", "Script", "UsageMode", "spell"]
