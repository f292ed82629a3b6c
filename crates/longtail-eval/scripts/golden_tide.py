"""Random cases for the error analysis, with the numbers that PyPI `tidecv` computes for them.

    python golden_tide.py FOLDER [--seed 6] [--cases 24]
    LONGTAIL_EVAL_FIXTURES=FOLDER cargo test -p longtail-eval --test errors

Writes FOLDER/tide/cases.json, random cases, and FOLDER/tide/files.json, numbers for the files of the other tests'
fixtures. Needs PyPI `tidecv` 1.0.1, `pycocotools` 2.0.11 and NumPy below 2, under Python 3.11 or
older: from 3.12 on `sum` corrects its rounding, which moves the last bit of some APs (`python` in the file says which
it was).

The cases are made to be awkward: tied scores, equal overlaps, overlaps of exactly the bounds, several detections on
one box, wrong and unknown classes, empty boxes, crowds, images without detections or ground truth, more detections
than the cap, ids out of order. Files go through the loaders of `tidecv`, so that its reading of crowds and of LVIS's
lists is compared too. Left out, because `tidecv` fails on them or has a meaning of its own for them:

- scores of -1 and below: the best error of a box is then never noted, and mending it raises KeyError;
- class -1: an ignored region of that class is one of every class;
- boxes of unknown images: the loaders raise KeyError;
- `ignore` fields: the loaders do not read them.

Where no class is left to average over, `tidecv` divides by zero; here that is caught and written as null.
"""

import argparse
import contextlib
import json
import math
import pathlib
import platform
import random
import sys
import tempfile

from tidecv import TIDE, datasets
from tidecv.ap import ClassedAPDataObject
from tidecv.errors import main_errors

KINDS = {
    "class": main_errors.ClassError,
    "localisation": main_errors.BoxError,
    "both": main_errors.OtherError,
    "duplicate": main_errors.DuplicateError,
    "background": main_errors.BackgroundError,
    "missed": main_errors.MissedError,
}
UNKNOWN_CLASS = 10**6
FIXTURES = pathlib.Path(__file__).parent.parent / "tests/fixtures"
# Ground truth, detections, cap, federated.
FILES = [
    ("lvis/gt_val100_boxes.json", "lvis/dt_b_score_ties.json", 300, True),
    ("lvis/gt_val100_boxes.json", "lvis/dt_b_score_ties.json", 100, False),
    ("coco/gt_val2014_100.json", "coco/dt_val2014_fakebbox100.json", 100, False),
]
# Loaders want a mask of every annotation; boxes are scored, so any will do.
MASK = [[0, 0, 1, 0, 1, 1]]

mean_ap = ClassedAPDataObject.get_mAP


def mean_ap_or_nan(self):
    """Mean AP, or NaN of no class."""
    try:
        return mean_ap(self)
    except ZeroDivisionError:
        return math.nan


ClassedAPDataObject.get_mAP = mean_ap_or_nan


def random_box(rng):
    """x, y, width, height in pixels; a coarse grid makes equal overlaps, and those of the bounds, likely."""
    if rng.random() < 0.7:
        return [10 * rng.randrange(8), 10 * rng.randrange(8), 10 * rng.randint(1, 8), 10 * rng.randint(1, 8)]
    return [round(rng.uniform(-20, 100), 2) for _ in range(2)] + [round(rng.uniform(0.5, 120), 2) for _ in range(2)]


def near(rng, box):
    """The box, one of a half or a tenth of it, or one near it."""
    x, y, width, height = box
    kind = rng.randrange(12)
    if kind < 4:
        return list(box)
    if kind == 4:
        return [x, y, width / 2, height]
    if kind == 5:
        return [x, y, width, height / 10]
    scale = rng.choice([1, 4, 8, 12])
    moved = [value + scale * rng.uniform(-1, 1) for value in box]
    return moved[:2] + [max(size, 0.0) for size in moved[2:]]


def random_score(rng, tied):
    """A score above -1, from few values or many."""
    return rng.choice([0.1, 0.25, 0.5, 0.5, 0.9, 0.0, -0.0, 1.0, -0.5, 1.5]) if tied else rng.random()


def ground_truth(rng, federated):
    """An annotation file's content."""
    images, classes = rng.choice([1, 3, 6]), rng.choice([1, 3, 6])
    image_ids = rng.sample(range(10 * images), images)
    class_ids = rng.sample(range(4 * classes), classes)
    categories = [{"id": k, "name": f"class {k}"} for k in class_ids]
    if federated:
        for category in categories:
            category["frequency"] = rng.choice("rcf")
    truth = {"images": [], "annotations": [], "categories": categories}
    for image_id in image_ids:
        image = {"id": image_id, "width": 200, "height": 200, "file_name": f"{image_id}.jpg"}
        if federated:
            image["neg_category_ids"] = rng.sample(class_ids, rng.randint(0, classes // 2))
            image["not_exhaustive_category_ids"] = rng.sample(class_ids, rng.randint(0, classes // 3))
        truth["images"].append(image)
    boxes = images * rng.choice([0] + 4 * [2, 4, 8])
    for annotation_id in rng.sample(range(4 * boxes), boxes):
        others = [a for a in truth["annotations"] if rng.random() < 0.3]
        box = near(rng, rng.choice(others)["bbox"]) if others else random_box(rng)
        truth["annotations"].append({
            "id": annotation_id,
            "image_id": rng.choice(image_ids),
            "category_id": rng.choice(class_ids) if rng.random() < 0.97 else UNKNOWN_CLASS,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": int(rng.random() < 0.15),
        })
    return truth


def random_detections(rng, truth):
    """Results: on the ground truth, near it or anywhere, some of wrong or unknown classes."""
    class_ids = [category["id"] for category in truth["categories"]]
    # Some images stay without a detection.
    image_ids = [image["id"] for image in truth["images"] if rng.random() < 0.8]
    annotations = [a for a in truth["annotations"] if a["image_id"] in image_ids]
    tied, detections = rng.random() < 0.5, []
    for _ in range(len(image_ids) * rng.choice([1, 6, 15])):
        base = rng.choice(annotations) if annotations and rng.random() < 0.9 else None
        if base and rng.random() < 0.7:
            class_id = base["category_id"]
        else:
            class_id = rng.choice(class_ids) if rng.random() < 0.95 else UNKNOWN_CLASS
        detections.append({
            "image_id": base["image_id"] if base else rng.choice(image_ids),
            "category_id": class_id,
            "bbox": near(rng, base["bbox"]) if base else random_box(rng),
            "score": random_score(rng, tied),
        })
    return detections


def options_of(background, foreground, cap, federated):
    """Options as the evaluator reads them."""
    bounds = {"background": background, "foreground": foreground}
    return {"bounds": bounds, "max_detections": cap, "federated": federated}


def defined(value):
    """The number, or None for NaN."""
    return None if math.isnan(value) else float(value)


def counts(errors):
    """Errors by class, and how many of them are in ignored regions."""
    by_class, ignored = {}, 0
    for error in errors:
        entry = error.pred if hasattr(error, "pred") else error.gt
        by_class[str(entry["class"])] = by_class.get(str(entry["class"]), 0) + 1
        ignored += hasattr(error, "pred") and error.pred["used"] is None
    return {"count": len(errors), "ignored": ignored, "by_class": by_class}


def score(truth, detections, options):
    """What `tidecv` says."""
    federated = options["federated"]
    truth = json.loads(json.dumps(truth))
    for image in truth["images"]:
        image["coco_url"] = image["file_name"]
    for category in truth["categories"]:
        category["synset"] = category["name"]
    for annotation in truth["annotations"]:
        annotation["segmentation"] = MASK
        annotation.setdefault("iscrowd", 0)
    # Some files carry polygons of their detections, which are of no account here.
    detections = [{k: d[k] for k in ("image_id", "category_id", "bbox", "score")} for d in detections]
    with tempfile.TemporaryDirectory() as folder:
        files = [pathlib.Path(folder) / name for name in ("truth.json", "detections.json")]
        for file, content in zip(files, (truth, detections)):
            file.write_text(json.dumps(content))
        truth_data = (datasets.LVIS if federated else datasets.COCO)(str(files[0]))
        detection_data = datasets.COCOResult(str(files[1]))
    truth_data.max_dets = options["max_detections"]
    with contextlib.redirect_stdout(sys.stderr):
        run = TIDE().evaluate(
            truth_data,
            detection_data,
            pos_threshold=options["bounds"]["foreground"],
            background_threshold=options["bounds"]["background"],
            mode=TIDE.BOX,
        )
        fixed, special = run.fix_main_errors(), run.fix_special_errors()
    return {
        "ap": defined(run.ap),
        "errors": {name: counts(run.error_dict[kind]) for name, kind in KINDS.items()},
        "delta_ap": {name: defined(fixed[kind]) for name, kind in KINDS.items()},
        "false_positives": defined(special[main_errors.FalsePositiveError]),
        "false_negatives": defined(special[main_errors.FalseNegativeError]),
    }


def main():
    """Writes the cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--cases", type=int, default=24)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    cases = {}
    for case in range(arguments.cases):
        federated = case % 2 == 1
        background, foreground = rng.choice([(0.1, 0.5), (0.1, 0.5), (0.25, 0.75), (0.5, 0.5)])
        options = options_of(background, foreground, rng.choice([3, 20, 100]), federated)
        truth = ground_truth(rng, federated)
        detections = random_detections(rng, truth)
        expected = score(truth, detections, options)
        cases[f"{'lvis' if federated else 'coco'} {case}"] = {
            "options": options, "truth": truth, "detections": detections, "expected": expected,
        }
    files = []
    for truth_file, detection_file, cap, federated in FILES:
        options = options_of(0.1, 0.5, cap, federated)
        content = [json.loads((FIXTURES / name).read_text()) for name in (truth_file, detection_file)]
        expected = score(*content, options)
        files.append({"gt": truth_file, "dt": detection_file, "options": options, "expected": expected})
    (arguments.folder / "tide").mkdir(parents=True, exist_ok=True)
    python = platform.python_version()
    for name, content in [
        ("cases", {"python": python, "seed": arguments.seed, "cases": cases}),
        ("files", {"python": python, "files": files}),
    ]:
        text = json.dumps(content, separators=(",", ":"))
        (arguments.folder / f"tide/{name}.json").write_text(text)


if __name__ == "__main__":
    main()
