"""``longtail``: losses, metrics, samplers and repair for long-tailed object detection.

============================  ==================================================================
:func:`evaluate`              detections scored by COCO's, LVIS's or Open Images' rules
:class:`Evaluator`            the same batch by batch and over several processes
:func:`compare`               differences between detectors, with intervals
:func:`error_analysis`        what kind of errors costs AP
:func:`look_alikes`           which classes are taken for each other
:func:`calibration`           what scores are worth
:func:`report`                an HTML page of several reports
:func:`repair`                a trained detector's classifier trained again for the tail
:class:`Bank`, :class:`Head`  feature banks and the heads trained on them: :func:`train_head`,
                              :func:`sweep_heads`
:mod:`longtail.corrections`   corrections of logits, weights and scores after training
:mod:`longtail.eval`          drop-in classes for ``pycocotools`` and ``lvis``
:mod:`longtail.mask`          masks, as ``pycocotools.mask``
:mod:`longtail.data`          data sets counted, checked, converted, split; repeat factors
:mod:`longtail.losses`        every loss on arrays
:mod:`longtail.torch`         losses, samplers and a metric for PyTorch
adapters                      :mod:`longtail.torchvision`, :mod:`longtail.ultralytics`,
                              :mod:`longtail.transformers`, :mod:`longtail.rfdetr`,
                              :mod:`longtail.detectron2`, :mod:`longtail.mmdet`
============================  ==================================================================

Submodules are imported when they are first named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import DataError
from ._evaluate import Evaluator, evaluate
from ._report import EvalReport

if TYPE_CHECKING:
    from . import corrections, data, eval, losses, mask
    from .analysis import Comparison, calibration, compare, error_analysis, look_alikes, report
    from .bank import Bank, Head, sweep_heads, train_head
    from .torch import RepairResult, repair

__version__ = "0.1.0"

__all__ = [
    "Bank",
    "Comparison",
    "DataError",
    "EvalReport",
    "Evaluator",
    "Head",
    "RepairResult",
    "__version__",
    "calibration",
    "compare",
    "corrections",
    "data",
    "error_analysis",
    "eval",
    "evaluate",
    "look_alikes",
    "losses",
    "mask",
    "repair",
    "report",
    "sweep_heads",
    "train_head",
]

# So that `import longtail` stays quick.
_MODULES = (
    "analysis",
    "bank",
    "corrections",
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
_FROM = {
    **dict.fromkeys(
        ("Comparison", "calibration", "compare", "error_analysis", "look_alikes", "report"), "analysis"
    ),
    **dict.fromkeys(("Bank", "Head", "sweep_heads", "train_head"), "bank"),
    **dict.fromkeys(("RepairResult", "repair"), "torch"),
}


def __getattr__(name: str) -> Any:
    import importlib

    if name in _FROM:
        return getattr(importlib.import_module(f"{__name__}.{_FROM[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_MODULES})
