"""Random cases for the evaluators, with the numbers that the reference implementations compute for them.

    python compare_references.py FOLDER [--seed 0] [--cases 40]
    LONGTAIL_EVAL_FIXTURES=FOLDER cargo test -p longtail-eval references
    python compare_references.py crates/longtail-eval/tests/fixtures --refresh

Needs PyPI `lvis` 0.5.3, `pycocotools` 2.0.11 and NumPy 2 (2.4.6 made the numbers of the repository): NumPy 1 sums more
than 8,192 values in another order, which moves the last bit. The last form computes the numbers of the fixtures anew.

The cases are made to be awkward: tied scores and overlaps, scores of -0.0, whole-number scores, boxes on a coarse
grid, areas exactly at the range ends and beyond the largest, ids of 0 and below, ids with gaps and out of order,
unknown classes, empty boxes, crowds, ignored boxes and images over the cap of detections.

Where PyPI `hotcoco` is installed, it scores the same files, and the last lines say how often its summary has the bits of
the references. It refuses negative ids, counts matches of id 0 and gives `iscrowd` a meaning in LVIS, so every other case
(of LVIS: every other seed) does without.

The folder holds one LVIS ground truth; thousands of cases come from several seeds:

    for seed in $(seq 30); do
        python compare_references.py "$PWD/cases-$seed" --seed $seed --cases 100
        LONGTAIL_EVAL_FIXTURES="$PWD/cases-$seed" cargo test -p longtail-eval references
    done
"""

import argparse
import contextlib
import hashlib
import io
import json
import pathlib
import random
import sys
import tempfile
import types

import numpy as np

# The drawing part of `lvis` wants OpenCV and matplotlib; scoring does not.
sys.modules.setdefault("lvis.vis", types.SimpleNamespace(LVISVis=None))
# `lvis` 0.5.3 uses a name that NumPy 1.24 removed.
if "float" not in np.__dict__:
    np.float = float

from lvis import LVIS, LVISEval, LVISResults  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from pycocotools.cocoeval import COCOeval  # noqa: E402

try:
    import hotcoco
except ImportError:
    hotcoco = None

if int(np.__version__.split(".")[0]) < 2:
    sys.exit(f"NumPy {np.__version__} sums in another order; install NumPy 2")
COCO_NAMES = ["AP", "AP50", "AP75", "APs", "APm", "APl", "AR@1", "AR@10", "AR@100", "ARs", "ARm", "ARl"]


def random_box(rng):
    """x, y, width, height in pixels; a coarse grid makes equal overlaps likely."""
    if rng.random() < 0.7:
        return [10 * rng.randrange(8), 10 * rng.randrange(8), 16 * rng.randint(1, 8), 16 * rng.randint(1, 8)]
    return [round(rng.uniform(-20, 100), 2) for _ in range(2)] + [round(rng.uniform(0.5, 150), 2) for _ in range(2)]


def jittered(rng, box):
    """The box itself or one near it."""
    if rng.random() < 0.3:
        return list(box)
    scale = rng.choice([1, 4, 8, 16])
    near = [value + scale * rng.uniform(-1, 1) for value in box]
    return near[:2] + [max(size, 0.0) for size in near[2:]]


def random_score(rng, kind):
    """A score: `kind` of 0 draws from few values, 1 from many."""
    if kind == 0:
        return rng.choice([0.1, 0.25, 0.5, 0.5, 0.9, 0, 1, 0.0, -0.0, -0.5])
    return rng.random()


def ground_truth(rng, images, classes, boxes, lvis, usual=False):
    """An annotation file's content; a usual one counts annotations from 1 and, for LVIS, has no flags."""
    image_ids = rng.sample(range(0, 10 * images), images)
    class_ids = rng.sample(range(0, 4 * classes), classes)
    annotation_ids = rng.sample(range(-3, 4 * images * boxes), images * boxes)
    if usual:
        annotation_ids = rng.sample(range(1, 4 * images * boxes + 1), images * boxes)
    elif 0 not in annotation_ids and rng.random() < 0.5:
        annotation_ids[0] = 0
    truth = {"info": {}, "licenses": [], "images": [], "annotations": [], "categories": []}
    for class_id in class_ids:
        category = {"id": class_id, "name": f"class {class_id}"}
        if lvis:
            category["frequency"] = rng.choice("rcf")
        truth["categories"].append(category)
    for image_id in image_ids:
        image = {"id": image_id, "width": 200, "height": 200, "file_name": f"{image_id}.jpg"}
        if lvis:
            image["neg_category_ids"] = rng.sample(class_ids, rng.randint(0, max(1, classes // 3)))
            image["not_exhaustive_category_ids"] = rng.sample(class_ids, rng.randint(0, max(1, classes // 3)))
        truth["images"].append(image)
    for annotation_id in annotation_ids:
        box = random_box(rng)
        area = box[2] * box[3]
        if rng.random() < 0.3:
            area = rng.choice([0, 1, 1024, 1024.0000000000002, 9216, 9215.999999999998, 1e10, 2e10])
        annotation = {
            "id": annotation_id,
            "image_id": rng.choice(image_ids),
            "category_id": rng.choice(class_ids),
            "bbox": box,
            "area": area,
            "iscrowd": int(rng.random() < 0.15),
        }
        if usual and lvis:
            annotation["iscrowd"] = 0
        elif rng.random() < 0.15:
            annotation["ignore"] = rng.choice([0, 1])
        truth["annotations"].append(annotation)
    return truth


def random_detections(rng, truth, per_image):
    """Results: near the ground truth or anywhere, some of wrong or unknown classes."""
    class_ids = [category["id"] for category in truth["categories"]]
    image_ids = [image["id"] for image in truth["images"]]
    score_kind = rng.randrange(2)
    detections = []
    for _ in range(per_image * len(image_ids)):
        near = rng.choice(truth["annotations"])
        fits = rng.random() < 0.7
        detection = {
            "image_id": near["image_id"] if fits else rng.choice(image_ids),
            "category_id": near["category_id"] if rng.random() < 0.8 else rng.choice(class_ids),
            "bbox": jittered(rng, near["bbox"]) if fits else random_box(rng),
            "score": random_score(rng, score_kind),
        }
        if rng.random() < 0.02:
            detection["category_id"] = 10**6
        if rng.random() < 0.03:
            detection["bbox"][2] = 0
        detections.append(detection)
    return detections


def mean(cells):
    """Mean of the defined cells, by the references' rule."""
    cells = cells[cells > -1]
    return float(np.mean(cells)) if len(cells) else -1.0


def digest(array):
    """Of an array's bits; -0.0 and 0.0 differ, which no evaluator may make differ."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<f8").tobytes()).hexdigest()


def score_lvis(truth, detections, max_dets=300, per_class=None):
    """What `lvis` says: the summary, each class, and the arrays' digests."""
    truth_api = LVIS.__new__(LVIS)
    truth_api.logger = types.SimpleNamespace(info=lambda *_: None, warn=lambda *_: None)
    truth_api.dataset = json.loads(json.dumps(truth))
    truth_api._create_index()
    # Read back what the file will hold, so that both sides see the same numbers.
    detections = json.loads(json.dumps(detections))
    if per_class:
        # Fixed AP (Dave et al., 2021): the best of each class over the data set.
        by_class = {}
        for detection in detections:
            by_class.setdefault(detection["category_id"], []).append(detection)
        best = (sorted(found, key=lambda d: d["score"], reverse=True)[:per_class] for found in by_class.values())
        detections = [detection for found in best for detection in found]
    results = LVISResults(truth_api, detections, max_dets=max_dets)
    evaluation = LVISEval(truth_api, results, "bbox")
    evaluation.params.max_dets = max_dets
    evaluation.run()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    per_category = {
        str(class_id): {
            "AP": mean(precision[:, :, k, 0]),
            "AP50": mean(precision[:1, :, k, 0]),
            "AR": mean(recall[:, k, 0]),
        }
        for k, class_id in enumerate(evaluation.params.cat_ids)
    }
    summary = {name: float(value) for name, value in evaluation.results.items()}
    arrays = {"precision": digest(precision), "recall": digest(recall)}
    return {"summary": summary, "per_category": per_category, "arrays": arrays, "pooled": pooled(evaluation)}


def pooled(evaluation):
    """AP over one list of all classes, and of each frequency group, from the matches of `lvis`."""
    images, areas = len(evaluation.params.img_ids), len(evaluation.params.area_rng)
    scores = {}
    everything = range(len(evaluation.params.cat_ids))
    pools = [("AP", everything)] + [(f"AP{g}", members) for g, members in zip("rcf", evaluation.freq_groups)]
    for name, members in pools:
        cells = [evaluation.eval_imgs[c * areas * images + i] for i in range(images) for c in members]
        cells = [cell for cell in cells if cell is not None]
        countable = sum(int(np.sum(np.asarray(cell["gt_ignore"]) == 0)) for cell in cells)
        if countable == 0:
            scores[name] = -1.0
            continue
        order = np.argsort(-np.concatenate([cell["dt_scores"] for cell in cells]), kind="mergesort")
        hit = np.concatenate([cell["dt_matches"] for cell in cells], axis=1)[:, order] != 0
        ignored = np.concatenate([cell["dt_ignore"] for cell in cells], axis=1)[:, order].astype(bool)
        precision = np.zeros((len(hit), 101))
        for t in range(len(hit)):
            right = np.cumsum(hit[t] & ~ignored[t]).astype(float)
            wrong = np.cumsum(~hit[t] & ~ignored[t]).astype(float)
            curve = np.maximum.accumulate((right / (wrong + right + np.spacing(1)))[::-1])[::-1]
            rows = np.searchsorted(right / countable, evaluation.params.rec_thrs, side="left")
            inside = rows < len(curve)
            precision[t, inside] = curve[rows[inside]]
        scores[name] = mean(precision)
    return scores


def score_coco(truth, detections):
    """What `pycocotools` says: the summary and each class."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth_api = COCO()
        truth_api.dataset = json.loads(json.dumps(truth))
        truth_api.createIndex()
        evaluation = COCOeval(truth_api, truth_api.loadRes(json.loads(json.dumps(detections))), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    per_category = {
        str(class_id): {
            "AP": mean(precision[:, :, k, 0, 2]),
            "AP50": mean(precision[:1, :, k, 0, 2]),
            "AR": mean(recall[:, k, 0, 2]),
        }
        for k, class_id in enumerate(evaluation.params.catIds)
    }
    summary = dict(zip(COCO_NAMES, map(float, evaluation.stats)))
    arrays = {"precision": digest(precision), "recall": digest(recall), "scores": digest(evaluation.eval["scores"])}
    return {"summary": summary, "per_category": per_category, "arrays": arrays}


def random_parameters(rng, truth):
    """Parameters that callers of `pycocotools` set, some of them at once."""
    images = [image["id"] for image in truth["images"]]
    categories = [category["id"] for category in truth["categories"]]
    chosen = {}
    if rng.random() < 0.5:
        chosen["iou_thresholds"] = rng.choice([
            [0.5], [0.75, 0.3], [0.0, 0.5, 1.0], [float(np.float32(0.55)), 0.95],
            [float(t) for t in np.linspace(0.05, 0.95, 19)], [float(t) for t in np.linspace(0.0, 1.0, 41)],
        ])
    if rng.random() < 0.4:
        chosen["recall_thresholds"] = rng.choice([
            [0.0], [0.5], [0.0, 0.0, 0.25, 1.0], [float(t) for t in np.linspace(0, 1, 11)],
            [float(np.float32(t)) for t in np.linspace(0, 1, 101)],
        ])
    if rng.random() < 0.4:
        chosen["areas"] = rng.choice([
            [["all", 0, 1e10]],
            [["tiny", 0, 256], ["all", 0, 1e10], ["rest", 256, 1e10]],
            [["all", 0, 1e10], ["very_tiny", 0, 64], ["tiny", 64, 256], ["small", 256, 1024], ["large", 1024, 1e10]],
        ])
    if rng.random() < 0.5:
        chosen["max_detections"] = rng.choice([[100], [3], [1, 10, 500], [2, 1], [1, 2, 3, 5, 8]])
    if rng.random() < 0.4:
        chosen["images"] = rng.sample(images, rng.randint(1, len(images)))
    if rng.random() < 0.4:
        chosen["categories"] = rng.sample(categories, rng.randint(1, len(categories)))
    if rng.random() < 0.4:
        chosen["class_agnostic"] = True
    return chosen


def score_coco_with(truth, detections, chosen):
    """What `pycocotools` says with such parameters: the arrays, and their means over the area range `all`."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth_api = COCO()
        truth_api.dataset = json.loads(json.dumps(truth))
        truth_api.createIndex()
        evaluation = COCOeval(truth_api, truth_api.loadRes(json.loads(json.dumps(detections))), "bbox")
        params = evaluation.params
        params.iouThrs = np.array(chosen.get("iou_thresholds", params.iouThrs))
        params.recThrs = np.array(chosen.get("recall_thresholds", params.recThrs))
        if "areas" in chosen:
            params.areaRngLbl = [name for name, _, _ in chosen["areas"]]
            params.areaRng = [[least, most] for _, least, most in chosen["areas"]]
        params.maxDets = list(chosen.get("max_detections", params.maxDets))
        params.imgIds = list(chosen.get("images", params.imgIds))
        params.catIds = list(chosen.get("categories", params.catIds))
        params.useCats = 0 if chosen.get("class_agnostic") else 1
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = evaluation.eval["precision"], evaluation.eval["recall"]
    whole = params.areaRngLbl.index("all")
    caps = evaluation.params.maxDets
    means = {"AP": mean(precision[:, :, :, whole, -1])}
    means |= {f"AR@{cap}": mean(recall[:, :, whole, index]) for index, cap in enumerate(caps)}
    arrays = {"precision": digest(precision), "recall": digest(recall), "scores": digest(evaluation.eval["scores"])}
    return {"parameters": chosen, "shape": list(precision.shape), "means": means, "arrays": arrays}


def refresh(folder):
    """Computes the numbers of the fixtures anew from their files."""
    def read(name):
        return json.loads((folder / name).read_text())

    def renew(case, scored):
        case |= {key: scored[key] for key in case if key in scored}

    def write(name, content):
        (folder / name).write_text(json.dumps(content, separators=(",", ":")))

    truth, cases = read("lvis/tiny_gt.json"), read("lvis/tiny_cases.json")
    for case in cases.values():
        renew(case, score_lvis(truth, case["detections"]))
    write("lvis/tiny_cases.json", cases)
    truth, cases = read("lvis/gt_val100_boxes.json"), read("lvis/expected_val100.json")
    for case in cases.values():
        renew(case, score_lvis(truth, read(f"lvis/{case['results_file']}"), max_dets=case["max_dets"]))
    write("lvis/expected_val100.json", cases)
    cases = read("coco/expected.json")
    for case in cases.values():
        truth, detections = read(f"coco/{case['gt']}"), read(f"coco/{case['dt']}")
        scored = score_coco(truth, detections)
        scored["per_category_AP"] = {name: values["AP"] for name, values in scored["per_category"].items()}
        renew(case, scored)
        rng = random.Random(len(detections))
        case["variants"] = [score_coco_with(truth, detections, random_parameters(rng, truth)) for _ in range(12)]
    write("coco/expected.json", cases)


class Peer:
    """How often `hotcoco` has the bits of a reference."""

    def __init__(self, name):
        self.name, self.equal, self.near, self.differs, self.refuses = name, 0, 0, [], 0

    def compare(self, case, truth, detections, expected, lvis):
        """Scores a case, and compares every number of the summary that both have."""
        if hotcoco is None:
            return
        with tempfile.TemporaryDirectory() as folder:
            truth_path, results_path = f"{folder}/truth.json", f"{folder}/results.json"
            pathlib.Path(truth_path).write_text(json.dumps(truth))
            pathlib.Path(results_path).write_text(json.dumps(detections))
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    found = self.score(truth_path, results_path, lvis)
            except (ValueError, RuntimeError):
                self.refuses += 1
                return
        distance = max(abs(found[name] - value) for name, value in expected.items() if name in found)
        if distance == 0:
            self.equal += 1
        elif distance < 1e-9:
            self.near += 1
        else:
            self.differs.append(case)

    @staticmethod
    def score(truth_path, results_path, lvis):
        truth = hotcoco.COCO(truth_path)
        if lvis:
            evaluation = hotcoco.LVISeval(truth, hotcoco.LVISResults(truth, results_path, 300), "bbox")
            evaluation.run()
            return evaluation.get_results()
        evaluation = hotcoco.COCOeval(truth, truth.loadRes(results_path), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return dict(zip(COCO_NAMES, evaluation.stats))

    def __str__(self):
        some = f" ({', '.join(self.differs[:5])})" if self.differs else ""
        return (
            f"hotcoco has the bits of {self.name} in {self.equal} cases, is within 1e-9 in {self.near}, "
            f"differs in {len(self.differs)}{some}, refuses {self.refuses}"
        )


def main():
    """Writes the folder in the layout of `tests/fixtures`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=40, help="small cases of each protocol, at least 8")
    parser.add_argument("--refresh", action="store_true", help="compute the numbers of the folder's files anew")
    options = parser.parse_args()
    if options.refresh:
        refresh(options.folder)
        return
    rng = random.Random(options.seed)
    for name in ("lvis", "coco"):
        (options.folder / name).mkdir(parents=True, exist_ok=True)

    def write(name, content):
        (options.folder / name).write_text(json.dumps(content))

    # Small LVIS cases.
    truth = ground_truth(rng, images=7, classes=8, boxes=9, lvis=True, usual=options.seed % 2 == 1)
    cases, lvis_peer, coco_peer = {}, Peer("lvis"), Peer("pycocotools")
    for case in range(max(options.cases, 8)):
        detections = random_detections(rng, truth, per_image=rng.choice([2, 10, 40]))
        cases[f"random {case}"] = {"detections": detections, **score_lvis(truth, detections)}
        lvis_peer.compare(f"random {case}", truth, detections, cases[f"random {case}"]["summary"], lvis=True)
        cases[f"random {case}"]["fixed"] = score_lvis(truth, detections, max_dets=-1, per_class=10_000)
        cases[f"random {case}"]["unlimited"] = score_lvis(truth, detections, max_dets=-1)
        cases[f"random {case}"]["seven"] = score_lvis(truth, detections, max_dets=7)
    write("lvis/tiny_gt.json", truth)
    write("lvis/tiny_cases.json", cases)

    # A larger one: long sums, and images over the cap.
    truth = ground_truth(rng, images=30, classes=120, boxes=30, lvis=True)
    cases = {}
    for per_image in (20, 330):
        detections = random_detections(rng, truth, per_image)
        file = f"dt_{per_image}.json"
        write(f"lvis/{file}", detections)
        cases[file] = {"results_file": file, "max_dets": 300, **score_lvis(truth, detections)}
    write("lvis/gt_val100_boxes.json", truth)
    write("lvis/expected_val100.json", cases)

    cases = {}
    for case in range(max(options.cases, 8)):
        large = case % 8 == 0
        classes = 60 if large else rng.randint(1, 8)
        truth = ground_truth(rng, images=20 if large else rng.randint(1, 6), classes=classes, boxes=8, lvis=False,
                             usual=case % 2 == 1)
        # One image and class of the small cases holds more than the cap of 100 now and then.
        detections = random_detections(rng, truth, per_image=rng.choice([3, 20, 250]))
        names = {"gt": f"gt_{case}.json", "dt": f"dt_{case}.json"}
        write(f"coco/{names['gt']}", truth)
        write(f"coco/{names['dt']}", detections)
        variants = [score_coco_with(truth, detections, random_parameters(rng, truth)) for _ in range(4)]
        cases[f"random {case}"] = {**names, **score_coco(truth, detections), "variants": variants}
        coco_peer.compare(f"random {case}", truth, detections, cases[f"random {case}"]["summary"], lvis=False)
    write("coco/expected.json", cases)
    if hotcoco is not None:
        print(lvis_peer, coco_peer, sep="\n")


if __name__ == "__main__":
    main()
