"""Time and memory of evaluators on the same made-up files, one process each.

    cargo build --release -p longtail-cli
    python scripts/bench_eval.py FOLDER [--sizes lvis-1000 lvis-5000 lvis-20000 coco-5000] [--runs 3] [--threads N]
    python scripts/bench_eval.py FOLDER --sizes coco-segm-5000 coco-polygons-5000 lvis-segm-5000 coco-boundary-500

`--evaluator target/release/examples/evaluate` times the evaluator without the rest of the program (`cargo build --release
-p longtail-eval --example evaluate`), which builds faster and does the same.

Needs PyPI `hotcoco`; `ultrafast-pycocotools`, `vernier`, `lvis`, `pycocotools` and `faster-coco-eval` are timed where
they are installed, at the sizes they survive. Masks and boundaries need NumPy, OpenCV and `pycocotools` too: detections
are wobbly rings around the objects, of as many points as COCO's polygons have, in images of 480 × 640, written as
compressed text or (`polygons`) as points; the reference of boundaries erodes bitmaps as the challenge's code does. FOLDER keeps the files, 0.6 GB for the largest size. CPU seconds are user plus system time of the
process, memory is its largest resident set; of several runs the median is printed. AP and APr are printed as each
evaluator says them, so that equal work is seen to be equal.
"""

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE.parent / "target/release/longtail"

PEERS = {
    "hotcoco": """
from hotcoco import COCO, COCOeval, LVISeval, LVISResults
truth = COCO(T)
if LVIS:
    e = LVISeval(truth, LVISResults(truth, D, 300), IOU); e.run(); r = e.get_results()
    print("AP", r["AP"], r.get("APr"))
else:
    e = COCOeval(truth, truth.loadRes(D), IOU); e.evaluate(); e.accumulate(); e.summarize()
    print("AP", e.stats[0], None)
""",
    "faster-coco-eval": """
from faster_coco_eval import COCO, COCOeval_faster
truth = COCO(T)
e = COCOeval_faster(truth, truth.loadRes(D), IOU, lvis_style=LVIS)
if LVIS: e.params.maxDets = [300]
e.evaluate(); e.accumulate(); e.summarize()
print("AP", e.stats_as_dict["AP_all"] if "AP_all" in e.stats_as_dict else e.stats[0], None)
""",
    "reference": """
import sys, types, numpy
sys.modules.setdefault("lvis.vis", types.SimpleNamespace(LVISVis=None))
if not hasattr(numpy, "float"): numpy.float = float
if LVIS:
    from lvis import LVISEval, LVIS as Set, LVISResults
    truth = Set(T); e = LVISEval(truth, LVISResults(truth, D), IOU); e.run()
    print("AP", e.results["AP"], e.results["APr"])
else:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    if IOU == "boundary":
        import cv2
        from pycocotools import mask as coco

        def edges(masks):
            found = []
            for mask in masks:
                bitmap = coco.decode(mask)
                times = max(1, int(round(0.02 * numpy.hypot(*bitmap.shape))))
                framed = numpy.pad(bitmap, 1)
                inner = cv2.erode(framed, numpy.ones((3, 3), numpy.uint8), iterations=times)[1:-1, 1:-1]
                found.append(coco.encode(numpy.asfortranarray(bitmap - inner)))
            return found

        class COCOeval(COCOeval):
            def computeIoU(self, image, category):
                values = super().computeIoU(image, category)
                if len(values) == 0:
                    return values
                truths, found = self._gts[image, category], self._dts[image, category]
                order = numpy.argsort([-d["score"] for d in found], kind="mergesort")[: self.params.maxDets[-1]]
                flags = [int(t["iscrowd"]) for t in truths]
                sides = [found[i]["segmentation"] for i in order], [t["segmentation"] for t in truths]
                return numpy.minimum(values, coco.iou(edges(sides[0]), edges(sides[1]), flags))
    truth = COCO(T); e = COCOeval(truth, truth.loadRes(D), "bbox" if IOU == "bbox" else "segm")
    e.evaluate(); e.accumulate(); e.summarize()
    print("AP", e.stats[0], None)
""",
    "ultrafast-pycocotools": """
from ultrafast_pycocotools.coco import COCO
from ultrafast_pycocotools.cocoeval import COCOeval
truth = COCO(T); e = COCOeval(truth, truth.loadRes(D), IOU); e.evaluate(); e.accumulate(); e.summarize()
print("AP", e.stats[0], None)
""",
    "vernier": """
import vernier
from vernier.instance import Bbox, Boundary, Evaluator, Segm
kinds = {"bbox": Bbox(), "segm": Segm(), "boundary": Boundary()}
e = Evaluator(iou=kinds[IOU], parity_mode="strict")
summary = e.evaluate(open(T, "rb").read(), open(D, "rb").read())
print("AP", summary.stats[0] if hasattr(summary, "stats") else summary, None)
""",
}
# What a peer can score: ultrafast-pycocotools and vernier are asked for COCO alone, the first has no boundaries.
SCORES = {
    "ultrafast-pycocotools": lambda lvis, iou: not lvis and iou != "boundary",
    "vernier": lambda lvis, iou: not lvis,
    "hotcoco": lambda lvis, iou: iou != "boundary",
    "faster-coco-eval": lambda lvis, iou: iou != "boundary",
    "reference": lambda lvis, iou: not (lvis and iou == "boundary"),
}
# Images up to which a peer is run: above, it takes minutes or more memory than most machines have.
SURVIVES = {
    "hotcoco": 10**9, "ultrafast-pycocotools": 10**9, "vernier": 10**9, "faster-coco-eval": 5000, "reference": 1000,
}


def write_case(folder, lvis, images, per_image, classes):
    """Ground truth and detections of a made-up detector; returns their paths."""
    name = f"{'lvis' if lvis else 'coco'}-{images}"
    truth_path, results_path = folder / f"{name}-truth.json", folder / f"{name}-results.json"
    if truth_path.exists() and results_path.exists():
        return truth_path, results_path
    rng = random.Random(images)
    weights = [1 / (k + 5) for k in range(classes)]
    letters = ["f" if k < classes / 3 else "c" if k < 0.7 * classes else "r" for k in range(classes)]
    ids = list(range(1, classes + 1))
    truth = {"images": [], "annotations": [], "categories": []}
    for k in ids:
        truth["categories"].append({"id": k, "name": f"class {k}", **({"frequency": letters[k - 1]} if lvis else {})})
    with open(f"{results_path}.partial", "w") as out:
        out.write("[")
        first = True
        for n in range(images):
            image = 1000 + 7 * n
            record = {"id": image, "width": 640, "height": 480, "file_name": f"{image:012}.jpg"}
            present = rng.choices(ids, weights, k=rng.randint(2, 22))
            negative = [k for k in rng.choices(ids, weights, k=12) if k not in present] if lvis else []
            if lvis:
                record["neg_category_ids"] = sorted(set(negative))
                record["not_exhaustive_category_ids"] = present[:1] if n % 3 == 0 else []
            truth["images"].append(record)
            boxes = []
            for k in present:
                x, y = rng.uniform(0, 500), rng.uniform(0, 380)
                w, h = min(rng.lognormvariate(3.8, 0.9), 640 - x), min(rng.lognormvariate(3.8, 0.9), 480 - y)
                boxes.append((k, x, y, w, h))
                box = [round(v, 2) for v in (x, y, w, h)]
                entry = {"id": len(truth["annotations"]) + 1, "image_id": image, "category_id": k, "bbox": box}
                truth["annotations"].append({**entry, "area": round(0.7 * box[2] * box[3], 2), "iscrowd": 0})
            anywhere = rng.choices(ids, weights, k=per_image)
            for d in range(per_image):
                k, x, y, w, h = boxes[d % len(boxes)]
                kind = rng.random()
                if kind < 0.5:
                    spread = rng.uniform(0, 0.25)
                    x, y = x + rng.gauss(0, spread * w), y + rng.gauss(0, spread * h)
                    w, h = w * rng.lognormvariate(0, spread), h * rng.lognormvariate(0, spread)
                    score = max(1e-5, 1 - 2 * spread - rng.random() / 3)
                else:
                    x, y, w, h = rng.uniform(0, 500), rng.uniform(0, 380), rng.uniform(5, 140), rng.uniform(5, 100)
                    score = rng.random() ** 3
                if kind > 0.7 or kind < 0.15:
                    k = rng.choice(negative) if negative and kind > 0.9 else anywhere[d]
                out.write("" if first else ", ")
                first = False
                out.write(
                    f'{{"image_id": {image}, "category_id": {k}, "bbox": '
                    f'[{x:.2f}, {y:.2f}, {w:.2f}, {h:.2f}], "score": {score:.5f}}}'
                )
        out.write("]")
    truth_path.write_text(json.dumps(truth))
    os.replace(f"{results_path}.partial", results_path)
    return truth_path, results_path


def write_masks(folder, lvis, images, per_image, classes, polygons):
    """As [`write_case`], of masks; ground truth has polygons."""
    import numpy as np
    from pycocotools import mask as coco

    name = f"{'lvis' if lvis else 'coco'}-{'polygons' if polygons else 'segm'}-{images}"
    truth_path, results_path = folder / f"{name}-truth.json", folder / f"{name}-results.json"
    if truth_path.exists() and results_path.exists():
        return truth_path, results_path
    rng, weights = np.random.default_rng(images), 1 / (np.arange(classes) + 5.0)
    weights /= weights.sum()
    letters = ["f" if k < classes / 3 else "c" if k < 0.7 * classes else "r" for k in range(classes)]
    truth = {"images": [], "annotations": [], "categories": []}
    for k in range(classes):
        category = {"id": k + 1, "name": f"class {k + 1}"}
        truth["categories"].append(category | ({"frequency": letters[k]} if lvis else {}))
    orders = np.arange(1, 9)[:, None]

    def outline(center, radius, wobble, points):
        angle = np.arange(points) * 2 * np.pi / points
        waves = (wobble[:, :1] / orders * np.cos(orders * angle + wobble[:, 1:])).sum(0)
        line = np.stack([np.cos(angle), np.sin(angle)], 1) * (radius * (1 + 0.15 * waves))[:, None] + center
        return np.round(np.clip(line, 0, (640, 480)), 2)

    def record(line):
        ring = line.flatten().tolist()
        mask = coco.frPyObjects([ring], 480, 640)[0]
        return ring, mask, [float(v) for v in coco.toBbox(mask)]

    def picture():
        """Verified classes, annotations and detections of an image, the last as JSON; without ids of images."""
        present = rng.choice(classes, rng.integers(2, 15), p=weights) + 1
        negative = [int(k) for k in set(rng.choice(classes, 12, p=weights) + 1) - set(present)] if lvis else []
        lists = {"neg_category_ids": negative, "not_exhaustive_category_ids": [int(k) for k in present[:1]]} if lvis else {}
        objects, annotations, detections = [], [], []
        for k in present:
            center, radius = rng.random(2) * (640, 480), 8 + rng.gamma(1.5, 35)
            wobble = np.stack([rng.normal(size=8), rng.random(8) * 6], 1)
            objects.append((int(k), center, radius, wobble))
            ring, mask, box = record(outline(center, radius, wobble, int(rng.integers(15, 60))))
            annotations.append({
                "category_id": int(k), "iscrowd": 0, "bbox": box, "area": float(coco.area(mask)), "segmentation": [ring],
            })
        anywhere = rng.choice(classes, per_image, p=weights) + 1
        for d in range(per_image):
            k, center, radius, wobble = objects[d % len(objects)]
            kind, spread = rng.random(), rng.random() * 0.25
            if kind < 0.5:
                center, wobble = center + rng.normal(0, spread, 2) * radius, wobble + rng.normal(0, spread, (8, 2))
                radius, score = radius * rng.lognormal(0, spread), max(1e-5, 1 - 2 * spread - rng.random() / 3)
            else:
                center, score = rng.random(2) * (640, 480), rng.random() ** 3
            if kind > 0.7 or kind < 0.15:
                k = int(rng.choice(negative)) if negative and kind > 0.9 else int(anywhere[d])
            ring, mask, box = record(outline(center, radius, wobble, int(rng.integers(15, 60))))
            segmentation = [ring] if polygons else {"size": [480, 640], "counts": mask["counts"].decode()}
            detection = {"category_id": k, "bbox": box, "score": round(float(score), 5), "segmentation": segmentation}
            detections.append(json.dumps(detection))
        return lists, annotations, detections

    # Drawing takes most of the time, so that later images show the pictures of earlier ones again.
    pictures = [picture() for _ in range(min(images, 250))]
    with open(f"{results_path}.partial", "w") as out:
        out.write("[")
        for n in range(images):
            image = 1000 + 7 * n
            lists, annotations, detections = pictures[n % len(pictures)]
            entry = {"id": image, "width": 640, "height": 480, "file_name": f"{image:012}.jpg"}
            truth["images"].append(entry | lists)
            for annotation in annotations:
                ids = {"id": len(truth["annotations"]) + 1, "image_id": image}
                truth["annotations"].append(ids | annotation)
            head = f'{{"image_id": {image}, '
            out.write((", " if n else "") + ", ".join(head + detection[1:] for detection in detections))
        out.write("]")
    truth_path.write_text(json.dumps(truth))
    os.replace(f"{results_path}.partial", results_path)
    return truth_path, results_path


def timed(command, environment):
    """CPU seconds, wall seconds, largest resident MiB and output of a process."""
    start = time.monotonic()
    talk = tempfile.TemporaryFile("w+")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=talk, env=environment)
    output = process.stdout.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    talk.seek(0)
    if status != 0:
        return None
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024, output, talk.read()


def main():
    """Prints a table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--sizes", nargs="+", default=["lvis-1000", "lvis-5000", "lvis-20000", "coco-5000"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--evaluator", type=pathlib.Path, help="program of examples/evaluate.rs, in place of longtail")
    parser.add_argument("--threads", type=int, default=0, help="threads of every evaluator [default: all cores]")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    if options.threads:
        environment["RAYON_NUM_THREADS"] = environment["OMP_NUM_THREADS"] = str(options.threads)
    print(f"{os.cpu_count()} cores, {options.threads or os.cpu_count()} threads, median of {options.runs} runs\n")
    print("| case | evaluator | CPU s | wall s | MiB | CPU, × ours | AP |\n|---|---|---|---|---|---|---|")
    phases = []
    for size in options.sizes:
        kind, *form, images = size.split("-")
        lvis, images = kind == "lvis", int(images)
        iou = {"": "bbox", "boundary": "boundary"}.get("".join(form), "segm")
        shape = (options.folder, lvis, images, 300 if lvis else 100, 1203 if lvis else 80)
        truth, results = write_masks(*shape, form == ["polygons"]) if form else write_case(*shape)
        ours = [str(PROGRAM), "eval", "--protocol", kind, "--ground-truth", str(truth), "--detections", str(results)]
        commands = {"longtail": [*ours, "--iou-type", iou, "--format", "json", "--timings"]}
        if options.evaluator:
            commands["longtail"] = [str(options.evaluator), kind, str(truth), str(results), iou]
        for name, code in PEERS.items():
            survives = images <= SURVIVES[name] or (not lvis and name == "reference")
            if survives and SCORES[name](lvis, iou):
                head = f"T, D, LVIS, IOU = {str(truth)!r}, {str(results)!r}, {lvis}, {iou!r}\n"
                commands[name] = [sys.executable, "-c", head + code]
        found = {name: [] for name in commands}
        # Interleaved, so that a slow spell of the machine hits all.
        for _ in range(options.runs):
            for name, command in commands.items():
                if name in ("reference", "faster-coco-eval") and found[name]:
                    continue
                if run := timed(command, environment):
                    found[name].append(run)
        base = statistics.median(run[0] for run in found["longtail"])
        for name, runs in found.items():
            if not runs:
                print(f"| {size} | {name} | failed | | | | |")
                continue
            cpu, wall, memory = (statistics.median(run[i] for run in runs) for i in range(3))
            text = runs[0][3]
            if name == "longtail":
                metrics = json.loads(text)["metrics"]
                scores = f"{metrics['AP']}"
            else:
                scores = next((line.split()[1] for line in text.splitlines() if line.startswith("AP ")), "?")
            if name == "longtail":
                phases.append(f"{size}: {runs[-1][4].strip()}")
            print(f"| {size} | {name} | {cpu:.2f} | {wall:.2f} | {memory:.0f} | {cpu / base:.1f} | {scores} |", flush=True)
    print("\nWall seconds of ours, last run:", *phases, sep="\n- ")


if __name__ == "__main__":
    main()
