"""The package's own error."""

from __future__ import annotations


class DataError(ValueError):
    """Ground truth, detections or another input cannot be used.

    The message says what is wrong, where, and what to do. Where they are known, ``path`` is the file,
    ``entry`` the index in a list (from 0) and ``field`` the member or argument.
    """

    def __init__(
        self, reason: str, path: str | None = None, entry: int | None = None, field: str | None = None
    ) -> None:
        super().__init__(reason)
        self.path = path
        self.entry = entry
        self.field = field

    def __reduce__(self) -> tuple[type[DataError], tuple[str, str | None, int | None, str | None]]:
        return type(self), (str(self), self.path, self.entry, self.field)
