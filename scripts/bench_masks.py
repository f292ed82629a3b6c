"""Times `longtail-mask` against pycocotools (and OpenCV for boundaries) on masks of photographs' size.

cargo build --release -p longtail-mask --example bench_masks
python scripts/bench_masks.py --program target/release/examples/bench_masks
    (numpy, opencv-python-headless, pycocotools==2.0.11)

Each image is 480 × 640 with detections around its objects, wobbly rings of as many points as COCO's polygons have.
One thread each; the shortest time of five.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.append(str(pathlib.Path(__file__).parent / "golden"))
import coco_masks as golden  # noqa: E402
from pycocotools import mask as coco  # noqa: E402

SIZE = (480, 640)


def ring(rng, center, radius, points):
    angle = np.arange(points) * 2 * np.pi / points
    wobble = 1 + sum(rng.normal() * 0.15 / k * np.cos(k * angle + rng.random() * 6) for k in range(1, 9))
    line = np.stack([np.cos(angle), np.sin(angle)], 1) * (radius * wobble)[:, None] + center
    return np.round(np.clip(line, 0, SIZE[::-1]), 2).flatten().tolist()


def whole(polygons):
    return coco.merge(coco.frPyObjects(polygons, *SIZE))["counts"].decode()


def image(rng, detections, truths):
    objects = [(rng.random(2) * SIZE[::-1], 8 + rng.gamma(1.5, 35)) for _ in range(truths)]

    def polygons(center, radius):
        return [ring(rng, center, radius, int(rng.integers(15, 60))) for _ in range(1 + (rng.random() < 0.15))]

    around = [objects[i % truths] for i in range(detections)]
    found = [polygons(center + rng.normal(0, 8, 2), radius) for center, radius in around]
    return {
        "size": SIZE,
        "detections": [whole(p) for p in found],
        "truths": [whole(polygons(*o)) for o in objects],
        "polygons": found,
    }


def seconds(run, repeats):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--truths", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--program", required=True)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    images = [image(rng, arguments.detections, arguments.truths) for _ in range(arguments.images)]
    coded = [[[golden.rle(t, SIZE) for t in one[key]] for key in ("detections", "truths")] for one in images]
    bitmaps = [np.asfortranarray(coco.decode(d)) for d, _ in coded[:20]]
    no_crowd = [0] * arguments.truths

    def boundary_iou():
        for both in coded[:20]:
            lines = [[golden.boundary_of(coco.decode(m), 0.02) for m in masks] for masks in both]
            lines = [[coco.encode(np.asfortranarray(line)) for line in masks] for masks in lines]
            np.minimum(coco.iou(*both, no_crowd), coco.iou(*lines, no_crowd))

    reference = {
        # Text read and written: a union of one is the shortest way.
        "text": lambda: [coco.merge([m]) for d, _ in coded for m in d],
        "iou": lambda: [coco.iou(d, g, no_crowd) for d, g in coded],
        "encode": lambda: [coco.encode(b) for b in bitmaps],
        "decode": lambda: [coco.decode(d) for d, _ in coded[:20]],
        "polygons": lambda: [whole(p) for one in images for p in one["polygons"]],
        "boundary iou": boundary_iou,
        "merge": lambda: [coco.merge(d) for d, _ in coded],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(images, file)
        file.flush()
        ours = subprocess.run(
            [arguments.program, file.name, str(arguments.repeats)], check=True, capture_output=True, text=True
        )
    ours = json.loads(ours.stdout)
    print(f"{arguments.images} images, {arguments.detections} detections, {arguments.truths} objects")
    print("| what | reference, ms | ours, ms | times |\n| --- | --- | --- | --- |")
    for what, mine in ours.items():
        if what in reference:
            theirs = seconds(reference[what], arguments.repeats)
            print(f"| {what} | {theirs * 1e3:.1f} | {mine * 1e3:.2f} | {theirs / mine:.1f} |")
        else:
            print(f"| {what} | | {mine * 1e3:.2f} | |")


if __name__ == "__main__":
    main()
