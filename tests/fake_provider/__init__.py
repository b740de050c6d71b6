"""A provider that behaves, or misbehaves, exactly as a test says: a raw-socket HTTP/1.1 server on loopback.

* `Script` says what to do with one request; every field is one behaviour.
* `FakeProvider` serves: scripts from its queue first, then the one that the model's name spells
  (`fake?chunks=64&gap=0.02&usage=none`), then its default.
* `Received` is what it keeps of each request: the bytes, what was sent, who left first, and the bill.
"""

from __future__ import annotations

from tests.fake_provider.scripts import Bill, Script, UsageMode, spell
from tests.fake_provider.server import FakeProvider, Received

__all__ = ["Bill", "FakeProvider", "Received", "Script", "UsageMode", "spell"]
