"""Seconds and memory to open an annotation file of the size of LVIS v1 train, here and in Python, one process each.

    cargo build --release --workspace --examples
    python scripts/make_large_lvis.py large.json
    python scripts/bench_open.py large.json [--runs 3] [--folder FOLDER] [--skip lvis pycocotools]

`json` alone needs nothing; `lvis` and `pycocotools` are timed where they are installed. Seconds are those of opening,
without the start of the process; memory is the largest resident set of the process. Of several runs the median is
printed. The file is read once before, so that everyone finds it in the cache of the operating system. The index is
kept in FOLDER, else in a temporary one.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE.parent / "target/release/examples/bench_open"

PREAMBLE = """
import json, resource, sys, time
start = time.perf_counter()
"""
ENDING = """
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
print(json.dumps({"seconds": seconds, "peak_mb": peak, "images": len(images), "boxes": len(boxes)}))
"""
PEERS = {
    "json": "data = json.load(open(sys.argv[1])); images, boxes = data['images'], data['annotations']",
    "pycocotools": """
from pycocotools.coco import COCO
start = time.perf_counter()
data = COCO(sys.argv[1]); images, boxes = data.imgs, data.anns
""",
    "lvis": """
import types
sys.modules.setdefault("lvis.vis", types.SimpleNamespace(LVISVis=None))
from lvis import LVIS
start = time.perf_counter()
data = LVIS(sys.argv[1]); images, boxes = data.imgs, data.anns
""",
}


def run(command, environment=None):
    """The last line that a process prints, as JSON; None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if done.returncode != 0:
        print(done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def show(name, results):
    results = [result for result in results if result]
    if not results:
        print(f"{name:36} not run", flush=True)
        return
    seconds = [result["seconds"] for result in results]
    peak = statistics.median(result["peak_mb"] for result in results)
    spread = f"{min(seconds):.2f} to {max(seconds):.2f}" if len(seconds) > 1 else ""
    print(f"{name:36} {statistics.median(seconds):8.2f} s  {spread:16} {peak:8.0f} MB  {results[0]['boxes']} boxes", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-runs", type=int, default=1)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--skip", nargs="*", default=[])
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    arguments = parser.parse_args()
    with arguments.file.open("rb") as file:
        while file.read(1 << 24):
            pass
    print(f"{arguments.file.name}: {arguments.file.stat().st_size / 1e9:.2f} GB", flush=True)
    ours = [str(arguments.program), str(arguments.file)]
    show("longtail, from the file", [run(ours, {"LONGTAIL_INDEX": "off"}) for _ in range(arguments.runs)])
    with tempfile.TemporaryDirectory() as temporary:
        folder = {"LONGTAIL_INDEX": str(arguments.folder or temporary)}
        show("longtail, and its index written", [run(ours, folder)])
        show("longtail, from its index", [run(ours, folder) for _ in range(arguments.runs)])
    for name, code in PEERS.items():
        if name not in arguments.skip:
            command = [sys.executable, "-c", PREAMBLE + code + ENDING, str(arguments.file)]
            show(name, [run(command) for _ in range(arguments.peer_runs)])


if __name__ == "__main__":
    main()
