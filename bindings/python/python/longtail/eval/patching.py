"""Other libraries made to use the drop-in classes, for a while."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from .cocoeval import COCOeval
from .lviseval import LVISEval

__all__ = ["patch", "patched"]

_LOCK = threading.Lock()
_DEPTH = 0
_ORIGINALS: list[tuple[type, type]] = []
"""The classes that are replaced, with what replaces them."""


class PatchedCOCOeval(COCOeval):
    """What stands for ``pycocotools``' class: told apart from :class:`COCOeval`, which others may have imported."""


class PatchedLVISEval(LVISEval):
    """What stands for ``lvis``' class."""


class Unpatch:
    """Undoes a :func:`patch`; a second call does nothing. ``replaced`` names what was replaced, such as
    ``pycocotools.cocoeval.COCOeval``."""

    def __init__(self, replaced: list[str]) -> None:
        self.replaced = replaced
        self._undo: Callable[[], None] | None = _unpatch

    def __call__(self) -> None:
        if self._undo is not None:
            undo, self._undo = self._undo, None
            undo()


def _find(module: str, name: str) -> type | None:
    """A class of a package that may not be installed, or may not run here."""
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError:
        return None
    return found if isinstance(found, type) else None


def _replace(pairs: list[tuple[type, type]]) -> list[str]:
    """Replaces classes wherever a module has them under some name."""
    replaced = []
    for module in list(sys.modules.values()):
        # Not in this package, which names its own classes.
        if not isinstance(module, ModuleType) or module.__name__.split(".")[0] == "longtail":
            continue
        for name, value in list(vars(module).items()):
            for old, new in pairs:
                if value is old:
                    setattr(module, name, new)
                    replaced.append(f"{module.__name__}.{name}")
    return sorted(replaced)


def _unpatch() -> None:
    global _DEPTH
    with _LOCK:
        _DEPTH -= 1
        if _DEPTH == 0:
            _replace([(new, old) for old, new in _ORIGINALS])
            _ORIGINALS.clear()


def patch(*, quiet: bool = False) -> Unpatch:
    """Makes every loaded module that names ``pycocotools``' ``COCOeval`` or ``lvis``' ``LVISEval`` use
    :class:`COCOeval` and :class:`LVISEval`, and those that are imported later. ``pycocotools.mask`` and
    ``COCO`` stay the originals.

    Patches can be nested; the originals are back when as many were undone as were made. One line says what
    was replaced.

    :raises RuntimeError: if there was nothing to replace, because neither package is installed.

    >>> unpatch = patch()  # doctest: +ELLIPSIS
    longtail: replaced ...pycocotools.cocoeval.COCOeval...
    >>> from pycocotools.cocoeval import COCOeval
    >>> COCOeval.__module__
    'longtail.eval.patching'
    >>> unpatch()
    >>> import pycocotools.cocoeval
    >>> pycocotools.cocoeval.COCOeval.__module__
    'pycocotools.cocoeval'
    """
    global _DEPTH
    with _LOCK:
        if _DEPTH == 0:
            wanted: list[tuple[type | None, type]] = [
                (_find("pycocotools.cocoeval", "COCOeval"), PatchedCOCOeval),
                (_find("lvis.eval", "LVISEval"), PatchedLVISEval),
            ]
            _ORIGINALS.extend((old, new) for old, new in wanted if old is not None and old is not new)
            if not _ORIGINALS:
                raise RuntimeError(
                    "there is nothing to replace: neither pycocotools nor lvis can be imported"
                )
        # Also where a patch is in force: a module may have been loaded with originals that it had kept.
        replaced = _replace(_ORIGINALS)
        _DEPTH += 1
    if not quiet and replaced:
        print(f"longtail: replaced {', '.join(replaced)}")
    return Unpatch(replaced)


@contextmanager
def patched(*, quiet: bool = False) -> Iterator[Unpatch]:
    """:func:`patch` for the length of a ``with`` block.

    >>> with patched(quiet=True):
    ...     from pycocotools.cocoeval import COCOeval
    >>> COCOeval.__module__
    'longtail.eval.patching'
    """
    unpatch = patch(quiet=quiet)
    try:
        yield unpatch
    finally:
        unpatch()
