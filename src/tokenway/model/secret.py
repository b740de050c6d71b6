"""A secret that cannot be printed, compared in the open, or serialised by accident."""

from __future__ import annotations

from typing import Final, NoReturn


class Secret:
    """Holds text that only `reveal` gives back; `str`, `repr`, `format` and pickling do not."""

    __slots__ = ("_text",)
    MASK: Final = "••••"

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it only where it goes onto a wire."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __repr__(self) -> str:
        return f"Secret({self.MASK})"

    def __str__(self) -> str:
        return self.MASK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not serialised; reveal it where it is needed")
