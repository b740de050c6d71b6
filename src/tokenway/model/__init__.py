"""The nouns: plain data, no I/O, nothing above the standard library and msgspec."""
