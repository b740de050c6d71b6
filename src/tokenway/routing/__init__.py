"""Decisions: which endpoint, in which order, and whether to try again; pure."""
