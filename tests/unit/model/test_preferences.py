"""The `provider` object as it is read, before anybody asks what it means."""

from __future__ import annotations

import msgspec
from openrouter.components.providerpreferences import ProviderPreferences

from tokenway.model.preferences import Preferences


def test_preferences_are_not_said_unless_they_are() -> None:
    """No preference is another thing than one that is false."""
    said = Preferences()
    assert {getattr(said, name) for name in said.__struct_fields__} == {None}


def test_every_preference_of_openrouters_client_is_read() -> None:
    """All members that its SDK can send, but for options that it passes on to one provider or another."""
    theirs = set(ProviderPreferences.model_fields) - {"options"}
    assert theirs <= set(Preferences.__struct_fields__)


def test_what_nobody_knows_is_passed_over() -> None:
    """A newer client is served; null is no wish."""
    text = b'{"order": ["a"], "something_new": {"x": 1}, "only": null, "zdr": true, "sort": {"by": "price"}}'
    said = msgspec.json.decode(text, type=Preferences)
    assert said == Preferences(order=["a"], zdr=True, sort={"by": "price"})
