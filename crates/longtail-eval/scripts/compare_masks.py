"""Random cases with masks for the evaluators, with the numbers that the reference implementations compute for them.

    python compare_masks.py FOLDER [--seed 0] [--cases 40]
    LONGTAIL_EVAL_FIXTURES=FOLDER cargo test -p longtail-eval masks
    python compare_masks.py crates/longtail-eval/tests/fixtures --cases 16

Needs PyPI `lvis` 0.5.3, `pycocotools` 2.0.11, OpenCV and NumPy 2. The last form makes the fixtures of the repository.
Cases take turns: COCO and LVIS rules, masks and boundaries.

No published package computes boundary IoU for NumPy 2, so it is computed here from its definition: the boundary of a
mask are its pixels no farther than d from a pixel outside of it, in the maximum norm, where d is 0.02 × the image's
diagonal, rounded, at least 1, and everything beyond the image is outside; overlaps are the smaller of the masks' and
the boundaries' IoU, and the masks' alone for crowds. Distances come from OpenCV's distance transform, IoU from NumPy's
counts of pixels. The references' own classes do everything after the overlaps.

The masks are made to be awkward: empty, full, of one pixel, of noise, with holes, in several parts; polygons that cross
themselves, turn either way and leave the image; images of one row or column. Ground truth has polygons, counts and
compressed text; detections too, where they have a box, without which the references take compressed text alone.
"""

import argparse
import contextlib
import io
import json
import logging
import pathlib
import random
import sys
import types

import cv2
import numpy as np

# Of every case, that its results are a list.
logging.disable(logging.WARNING)
ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "scripts/golden"))
import coco_masks as golden  # noqa: E402
from compare_references import COCO_NAMES, digest, mean, random_score  # noqa: E402
from lvis import LVIS, LVISEval, LVISResults  # noqa: E402
from pycocotools import mask as coco_mask  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from pycocotools.cocoeval import COCOeval  # noqa: E402


def boundary(mask, ratio):
    """Pixels of a bitmap no farther than its boundary is wide from one outside."""
    height, width = mask.shape
    reach = max(1, int(round(ratio * float(np.hypot(height, width)))))
    framed = np.pad(mask, 1)
    distance = cv2.distanceTransform(framed, cv2.DIST_C, 3)[1:-1, 1:-1]
    return mask.astype(bool) & (distance <= reach)


def overlaps_with_boundaries(found, truths, crowd, ratio):
    """What boundary IoU matches by: detections × ground truths."""
    def both(masks):
        bitmaps = [coco_mask.decode(mask) for mask in masks]
        return [bitmap.astype(bool) for bitmap in bitmaps], [boundary(bitmap, ratio) for bitmap in bitmaps]

    def iou(a, b, whole=None):
        common = int((a & b).sum())
        return common / int(whole.sum() if whole is not None else (a | b).sum()) if common else 0.0

    (found_masks, found_edges), (truth_masks, truth_edges) = both(found), both(truths)
    values = np.zeros((len(found), len(truths)))
    for d in range(len(found)):
        for g in range(len(truths)):
            if crowd[g]:
                values[d, g] = iou(found_masks[d], truth_masks[g], found_masks[d])
            else:
                of_masks = iou(found_masks[d], truth_masks[g])
                values[d, g] = min(of_masks, iou(found_edges[d], truth_edges[g]))
    return values if len(found) and len(truths) else []


class BoundaryCOCOeval(COCOeval):
    """`COCOeval` whose masks overlap by their boundaries."""

    ratio = 0.02

    def computeIoU(self, image, category):
        if self.params.useCats:
            truths, found = self._gts[image, category], self._dts[image, category]
        else:
            truths = [t for c in self.params.catIds for t in self._gts[image, c]]
            found = [d for c in self.params.catIds for d in self._dts[image, c]]
        order = np.argsort([-d["score"] for d in found], kind="mergesort")[: self.params.maxDets[-1]]
        masks = [found[index]["segmentation"] for index in order]
        crowd = [int(t["iscrowd"]) for t in truths]
        return overlaps_with_boundaries(masks, [t["segmentation"] for t in truths], crowd, self.ratio)


class BoundaryLVISEval(LVISEval):
    """`LVISEval` whose masks overlap by their boundaries."""

    ratio = 0.02

    def compute_iou(self, image, category):
        truths, found = self._get_gt_dt(image, category)
        order = np.argsort([-d["score"] for d in found], kind="mergesort")
        masks = [found[index]["segmentation"] for index in order]
        return overlaps_with_boundaries(masks, [t["segmentation"] for t in truths], [0] * len(truths), self.ratio)


def bitmap_near(numbers, bitmap):
    """The mask itself, or moved, or with a part cut off."""
    kind = numbers.integers(5)
    if kind == 0:
        return bitmap
    if kind <= 2:
        return np.roll(bitmap, numbers.integers(-2, 3, 2), (0, 1))
    cut = bitmap.copy()
    cut[: numbers.integers(0, max(1, bitmap.shape[0] // 4) + 1)] = 0
    return cut


def write_mask(rng, bitmap, forms):
    """A bitmap in one of the forms of COCO's files."""
    size = list(bitmap.shape)
    if rng.choice(forms) == "counts":
        return {"size": size, "counts": golden.counts_of(bitmap)}
    return {"size": size, "counts": golden.text_of(bitmap)}


def case(rng, numbers, lvis):
    """Ground truth and detections."""
    images, classes = rng.randint(1, 5), rng.randint(1, 4)
    image_ids, class_ids = rng.sample(range(60), images), rng.sample(range(30), classes)
    truth = {"images": [], "annotations": [], "categories": []}
    for k in class_ids:
        truth["categories"].append({"id": k, "name": f"class {k}"} | ({"frequency": rng.choice("rcf")} if lvis else {}))
    boxed = rng.random() < 0.5
    detections = []
    for image_id in image_ids:
        size = golden.random_size(numbers)
        if size[0] * size[1] > 40_000:
            size = (90, 120)
        image = {"id": image_id, "height": size[0], "width": size[1], "file_name": f"{image_id}.jpg"}
        if lvis:
            image["neg_category_ids"] = rng.sample(class_ids, rng.randint(0, classes))
            image["not_exhaustive_category_ids"] = rng.sample(class_ids, rng.randint(0, 1))
        truth["images"].append(image)
        shapes = []
        for _ in range(rng.randint(0, 6)):
            bitmap = golden.random_bitmap(numbers, size)
            segmentation = write_mask(rng, bitmap, ["counts", "text"])
            if rng.random() < 0.4:
                segmentation = [golden.random_polygon(numbers, size) for _ in range(rng.randint(1, 3))]
                bitmap = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(segmentation, *size)))
            area = float(bitmap.sum())
            if rng.random() < 0.3:
                area = rng.choice([0, 1, 1024, 9216, 5000.5])
            annotation = {
                "id": 1 + len(truth["annotations"]), "image_id": image_id, "category_id": rng.choice(class_ids),
                "segmentation": segmentation, "area": area, "iscrowd": int(rng.random() < 0.2),
                "bbox": coco_mask.toBbox(golden.rle(golden.text_of(bitmap), size)).tolist(),
            }
            truth["annotations"].append(annotation)
            shapes.append((annotation["category_id"], bitmap))
        for _ in range(rng.choice([0, 3, 12])):
            if shapes and rng.random() < 0.8:
                category, bitmap = rng.choice(shapes)
                bitmap = bitmap_near(numbers, bitmap)
            else:
                category, bitmap = rng.choice(class_ids), golden.random_bitmap(numbers, size)
            if rng.random() < 0.1:
                category = rng.choice([*class_ids, 999])
            detection = {"image_id": image_id, "category_id": category, "score": random_score(rng, rng.randint(0, 1))}
            detection["segmentation"] = write_mask(rng, bitmap, ["counts", "text"] if boxed else ["text"])
            if boxed:
                detection["bbox"] = [round(float(v), 2) for v in numbers.random(4) * 120]
                if rng.random() < 0.3:
                    polygons = [golden.random_polygon(numbers, size) for _ in range(rng.randint(1, 2))]
                    detection["segmentation"] = polygons
            detections.append(detection)
    if not detections:
        detections.append({
            "image_id": image_ids[0], "category_id": class_ids[0], "score": 0.5,
            "segmentation": write_mask(rng, np.ones((truth["images"][0]["height"], truth["images"][0]["width"])), ["text"]),
        })
    rng.shuffle(truth["annotations"])
    return truth, detections


def scored(truth, detections, lvis, boundaries):
    """The reference's summary, and the digests of its whole arrays."""
    # Read back what the file will hold, so that both sides see the same numbers.
    truth, detections = json.loads(json.dumps(truth)), json.loads(json.dumps(detections))
    if lvis:
        api = LVIS.__new__(LVIS)
        api.logger = types.SimpleNamespace(info=lambda *_: None, warn=lambda *_: None)
        api.dataset = truth
        api._create_index()
        evaluation = (BoundaryLVISEval if boundaries else LVISEval)(api, LVISResults(api, detections), "segm")
        evaluation.run()
        summary = {name: float(value) for name, value in evaluation.results.items()}
    else:
        with contextlib.redirect_stdout(io.StringIO()):
            api = COCO()
            api.dataset = truth
            api.createIndex()
            evaluation = (BoundaryCOCOeval if boundaries else COCOeval)(api, api.loadRes(detections), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        summary = dict(zip(COCO_NAMES, map(float, evaluation.stats)))
    arrays = {name: digest(evaluation.eval[name]) for name in ("precision", "recall")}
    if not lvis:
        arrays["scores"] = digest(evaluation.eval["scores"])
    return {"summary": summary, "arrays": arrays}


def main():
    """Writes `masks/cases.json` into the folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args()
    rng, numbers = random.Random(options.seed), np.random.default_rng(options.seed)
    cases = []
    while len(cases) < options.cases:
        lvis, boundaries = len(cases) % 2 == 1, len(cases) % 4 >= 2
        truth, detections = case(rng, numbers, lvis)
        found = scored(truth, detections, lvis, boundaries)
        names = {"protocol": "lvis" if lvis else "coco", "iou_type": "boundary" if boundaries else "segm"}
        cases.append(names | {"truth": truth, "detections": detections} | found)
    (options.folder / "masks").mkdir(parents=True, exist_ok=True)
    (options.folder / "masks/cases.json").write_text(json.dumps(cases, separators=(",", ":")))
    means = [case["summary"]["AP"] for case in cases]
    print(f"{len(cases)} cases, AP above 0 in {sum(mean > 0 for mean in means)}, mean {mean(np.array(means)):.3f}")


if __name__ == "__main__":
    main()
