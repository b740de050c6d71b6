"""Tokenway: one endpoint and one key for every language model."""

__version__ = "0.1.0"
