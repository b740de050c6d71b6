"""Alembic's revisions, forward only: a database is brought up to date, never back."""
