"""Compares answers of `longtail-mask` to random and awkward questions, bit for bit, with pycocotools and OpenCV.

cargo build -p longtail-mask --example mask_answers
python scripts/check_masks.py --cases 20000 --program target/debug/examples/mask_answers
    (numpy, opencv-python-headless, pycocotools==2.0.11)

Besides the kinds of `scripts/golden/coco_masks.py`: outlines, whose polygons the reference must rasterise to the mask
they came from; crowds of thousands of parts; and masks of photographs' size.
"""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy as np

sys.path.append(str(pathlib.Path(__file__).parent / "golden"))
import coco_masks as golden  # noqa: E402
from pycocotools import mask as coco  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2_000, help="of each kind together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", required=True)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    program = subprocess.Popen([arguments.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(request):
        program.stdin.write(json.dumps(request) + "\n")
        program.stdin.flush()
        return json.loads(program.stdout.readline())

    def check(request, expected, got):
        counted[request["op"]] = counted.get(request["op"], 0) + 1
        if got != expected:
            print(json.dumps({"request": request, "expected": expected, "got": got})[:4000])
            sys.exit(1)

    counted = {}
    for index in range(arguments.cases):
        op = [*golden.OPS, "outlines"][index % (len(golden.OPS) + 1)]
        size = golden.random_size(rng) if index % 97 else (480, 640)
        if op == "outlines":
            text = golden.text_of(golden.random_bitmap(rng, size))
            request = {"op": op, "size": list(size), "text": text}
            polygons = ask(request)
            whole = coco.merge(coco.frPyObjects(polygons, *size))["counts"].decode() if polygons else None
            check(request, text if polygons else None, whole)
            if not polygons:
                check(request, 0, int(golden.bitmap_of(text, size).sum()))
        else:
            request, expected = golden.case(rng, op, size)
            check(request, expected, ask(request))
    for parts in (1_000, 5_000):
        size = (480, 640)
        shapes = [np.array(golden.random_polygon(rng, (9, 9))).reshape(-1, 2) for _ in range(parts)]
        polygons = [(shape + rng.random(2) * (631, 471)).flatten().tolist() for shape in shapes]
        masks = coco.frPyObjects(polygons, *size)
        crowd = coco.merge(masks)["counts"].decode()
        expected = {"parts": [m["counts"].decode() for m in masks], "whole": crowd}
        request = {"op": "polygons", "size": list(size), "segmentation": polygons}
        check(request, expected, ask(request))
        for intersect in (False, True):
            texts = expected["parts"]
            request = {"op": "merge", "size": list(size), "texts": texts, "intersect": intersect}
            check(request, coco.merge(masks, intersect)["counts"].decode(), ask(request))
        detections = [golden.text_of(golden.random_bitmap(rng, size)) for _ in range(20)]
        request = {"op": "iou", "size": list(size), "detections": detections}
        request |= {"truths": [crowd, crowd], "crowd": [True, False]}
        found = coco.iou(*[[golden.rle(t, size) for t in ts] for ts in (detections, [crowd, crowd])], [1, 0])
        check(request, found.flatten().tolist(), ask(request))
    print("equal:", ", ".join(f"{count} {op}" for op, count in sorted(counted.items())))


if __name__ == "__main__":
    main()
