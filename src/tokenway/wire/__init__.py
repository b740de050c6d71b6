"""Bytes to frames and back; every parser is incremental, bounded and pure."""
