"""``patched()``: what is replaced, what is left alone, and that all is as before."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator

import longtail.eval
import pytest

pytest.importorskip("pycocotools")
import pycocotools.coco
import pycocotools.cocoeval
import pycocotools.mask

ORIGINAL = pycocotools.cocoeval.COCOeval


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    assert pycocotools.cocoeval.COCOeval is ORIGINAL


def test_one_line_says_what_was_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    mask, coco = pycocotools.mask, pycocotools.coco.COCO
    with longtail.eval.patched() as patch:
        assert issubclass(pycocotools.cocoeval.COCOeval, longtail.eval.COCOeval)
        assert pycocotools.mask is mask and pycocotools.coco.COCO is coco
        assert "pycocotools.cocoeval.COCOeval" in patch.replaced
    out = capsys.readouterr().out
    assert out.startswith("longtail: replaced ") and out.count("\n") == 1


def test_modules_that_hold_the_name_get_it_too() -> None:
    before, during = types.ModuleType("imported_before"), types.ModuleType("imported_during")
    before.Evaluator = ORIGINAL  # type: ignore[attr-defined]
    sys.modules |= {"imported_before": before, "imported_during": during}
    try:
        with longtail.eval.patched(quiet=True):
            assert issubclass(before.Evaluator, longtail.eval.COCOeval)  # type: ignore[attr-defined]
            during.COCOeval = pycocotools.cocoeval.COCOeval  # type: ignore[attr-defined]
        assert before.Evaluator is ORIGINAL  # type: ignore[attr-defined]
        assert during.COCOeval is ORIGINAL  # type: ignore[attr-defined]
    finally:
        del sys.modules["imported_before"], sys.modules["imported_during"]


def test_who_imported_ours_keeps_it() -> None:
    own = types.ModuleType("imports_ours")
    own.COCOeval = longtail.eval.COCOeval  # type: ignore[attr-defined]
    sys.modules["imports_ours"] = own
    try:
        with longtail.eval.patched(quiet=True):
            pass
        assert own.COCOeval is longtail.eval.COCOeval  # type: ignore[attr-defined]
    finally:
        del sys.modules["imports_ours"]


def test_patches_are_counted() -> None:
    first, second = longtail.eval.patch(quiet=True), longtail.eval.patch(quiet=True)
    first()
    first()
    assert issubclass(pycocotools.cocoeval.COCOeval, longtail.eval.COCOeval)
    second()
    assert pycocotools.cocoeval.COCOeval is ORIGINAL


def test_it_is_undone_after_an_error() -> None:
    with pytest.raises(KeyError), longtail.eval.patched(quiet=True):
        raise KeyError


def test_lvis_is_replaced_where_it_is_installed() -> None:
    lvis = pytest.importorskip("lvis")
    original = lvis.LVISEval
    with longtail.eval.patched(quiet=True):
        from lvis import LVISEval

        assert issubclass(LVISEval, longtail.eval.LVISEval)
    assert lvis.LVISEval is original


def test_nothing_to_replace_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pycocotools.cocoeval", None)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "lvis.eval", None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="nothing to replace"):
        longtail.eval.patch()
