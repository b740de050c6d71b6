"""A certificate for the loopback address, for the SDKs that send their credential over TLS only."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificate:
    """A certificate for the loopback address, and who vouches for it, as files."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        self.authority = folder / "ca.pem"
        self.chain = folder / "chain.pem"
        self.key = folder / "key.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        for pem in issued.cert_chain_pems:
            pem.write_to_path(str(self.chain), append=True)
        issued.private_key_pem.write_to_path(str(self.key))

    def serving(self) -> dict[str, str]:
        """As a configuration says it, under `server.tls`."""
        return {"cert": str(self.chain), "key": str(self.key)}

    def context(self) -> ssl.SSLContext:
        """A server's context."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.chain, self.key)
        return made
