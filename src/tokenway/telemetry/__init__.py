"""Telling: metric and log names, lines and counters."""
