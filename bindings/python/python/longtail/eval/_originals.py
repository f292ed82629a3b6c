"""What is left to the original package, where it is installed."""

from __future__ import annotations

import importlib
from typing import Any


def coco() -> Any:
    """The class ``pycocotools.coco.COCO``.

    :raises ImportError: if it is not installed.
    """
    try:
        return importlib.import_module("pycocotools.coco").COCO
    except ImportError:
        raise ImportError("pictures and downloads are left to pycocotools; pip install pycocotools") from None
