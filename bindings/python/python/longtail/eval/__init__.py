"""Drop-in classes for ``pycocotools`` 2.0.11 and ``lvis`` 0.5.3: the same names, attributes, printed tables
and bits, in seconds instead of minutes.

=====================  =====================================================================
:class:`COCO`          annotations, as ``pycocotools.coco.COCO``
:class:`COCOeval`      evaluation of boxes, masks and keypoints, as ``pycocotools.cocoeval.COCOeval``
:class:`LVIS`          annotations, as ``lvis.LVIS``
:class:`LVISResults`   detections, as ``lvis.LVISResults``
:class:`LVISEval`      evaluation, as ``lvis.LVISEval``; it runs on the NumPy of today
:func:`patched`        every library that uses the originals uses these, for a while
:func:`patch`          the same until the returned function is called
=====================  =====================================================================

Matching and accumulation are native, and so are masks (:mod:`longtail.mask`).
"""

from __future__ import annotations

from .coco import COCO
from .cocoeval import COCOeval, Params
from .lvis import LVIS, LVISResults
from .lviseval import LVISEval
from .patching import patch, patched

__all__ = ["COCO", "LVIS", "COCOeval", "LVISEval", "LVISResults", "Params", "patch", "patched"]
