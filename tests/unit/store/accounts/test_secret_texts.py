"""What keys, tokens and sessions look like, and what is kept of them."""

from __future__ import annotations

import hashlib

from tokenway.model.secret import Secret
from tokenway.store.accounts.secret_texts import KEY_PREFIX, TOKEN_PREFIX, digest_of, make_secret, shown


def test_a_secret_is_its_prefix_and_256_bits() -> None:
    """The text is the prefix and the 43 URL-safe characters of the 32 bytes that were drawn."""
    key = make_secret(KEY_PREFIX, lambda count: b"\xfb" * count)

    assert key.reveal() == "tw-" + "-_v7" * 10 + "-_s"
    assert len(make_secret(TOKEN_PREFIX).reveal()) == len("twc-") + 43
    assert make_secret(KEY_PREFIX) != make_secret(KEY_PREFIX)


def test_what_is_kept_is_its_hash_and_its_beginning() -> None:
    """SHA-256 in hexadecimal, and eight characters; halves of characters, which JSON can bring, have a hash too."""
    assert digest_of(Secret("tw-x")) == hashlib.sha256(b"tw-x").hexdigest()
    assert len(digest_of(Secret("\ud800"))) == 64
    assert shown(Secret("tw-1234567890")) == "tw-12345"
