"""``longtail``: losses, metrics and samplers for long-tailed object detection.

=========================  ==============================================================
:func:`evaluate`           detections scored by COCO's, LVIS's or Open Images' rules
:class:`Evaluator`         the same batch by batch and over several processes
:mod:`longtail.eval`       drop-in classes for ``pycocotools`` and ``lvis``
:mod:`longtail.mask`       masks, as ``pycocotools.mask``
:mod:`longtail.data`       which images to repeat
:mod:`longtail.losses`     every loss on arrays
:mod:`longtail.torch`      losses, samplers and a metric for PyTorch
adapters                   :mod:`longtail.torchvision`, :mod:`longtail.ultralytics`,
                           :mod:`longtail.transformers`, :mod:`longtail.rfdetr`,
                           :mod:`longtail.detectron2`, :mod:`longtail.mmdet`
=========================  ==============================================================

Submodules are imported when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import DataError
from ._evaluate import Evaluator, evaluate
from .report import EvalReport

if TYPE_CHECKING:
    from . import data, eval

__version__ = "0.1.0"

__all__ = ["DataError", "EvalReport", "Evaluator", "__version__", "data", "eval", "evaluate"]

_LAZY = (
    "data",
    "detectron2",
    "eval",
    "losses",
    "mask",
    "mmdet",
    "rfdetr",
    "torch",
    "torchvision",
    "transformers",
    "ultralytics",
)


def __getattr__(name: str) -> Any:
    # So that `import longtail` stays quick.
    if name in _LAZY:
        import importlib

        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_LAZY])
