"""Remembering: keys and the ledger in SQL, the journal on disk."""
