"""Time and memory of evaluators on the same made-up files, one process each.

    cargo build --release -p longtail-cli
    python scripts/bench_eval.py FOLDER [--sizes lvis-1000 lvis-5000 lvis-20000 coco-5000] [--runs 3] [--threads N]

`--evaluator target/release/examples/evaluate` times the evaluator without the rest of the program (`cargo build --release
-p longtail-eval --example evaluate`), which builds faster and does the same.

Needs PyPI `hotcoco`; `lvis`, `pycocotools` and `faster-coco-eval` are timed where they are installed, at the sizes
they survive. FOLDER keeps the files, 0.6 GB for the largest size. CPU seconds are user plus system time of the
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
    e = LVISeval(truth, LVISResults(truth, D, 300), "bbox"); e.run(); r = e.get_results()
    print("AP", r["AP"], r.get("APr"))
else:
    e = COCOeval(truth, truth.loadRes(D), "bbox"); e.evaluate(); e.accumulate(); e.summarize()
    print("AP", e.stats[0], None)
""",
    "faster-coco-eval": """
from faster_coco_eval import COCO, COCOeval_faster
truth = COCO(T)
e = COCOeval_faster(truth, truth.loadRes(D), "bbox", lvis_style=LVIS)
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
    truth = Set(T); e = LVISEval(truth, LVISResults(truth, D), "bbox"); e.run()
    print("AP", e.results["AP"], e.results["APr"])
else:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval
    truth = COCO(T); e = COCOeval(truth, truth.loadRes(D), "bbox"); e.evaluate(); e.accumulate(); e.summarize()
    print("AP", e.stats[0], None)
""",
}
# Images up to which a peer is run: above, it takes minutes or more memory than most machines have.
SURVIVES = {"hotcoco": 10**9, "faster-coco-eval": 5000, "reference": 1000}


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
        kind, images = size.split("-")
        lvis, images = kind == "lvis", int(images)
        truth, results = write_case(options.folder, lvis, images, 300 if lvis else 100, 1203 if lvis else 80)
        ours = [str(PROGRAM), "eval", "--protocol", kind, "--ground-truth", str(truth), "--detections", str(results)]
        commands = {"longtail": [*ours, "--format", "json", "--timings"]}
        if options.evaluator:
            commands["longtail"] = [str(options.evaluator), kind, str(truth), str(results)]
        for name, code in PEERS.items():
            if images <= SURVIVES[name] or (not lvis and name == "reference"):
                head = f"T, D, LVIS = {str(truth)!r}, {str(results)!r}, {lvis}\n"
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
