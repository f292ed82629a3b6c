"""Masks, overlaps, polygons and boundaries by pycocotools and OpenCV; writes
crates/longtail-mask/tests/fixtures/answers.json: requests with the references' answers.

python scripts/golden/coco_masks.py   (numpy, opencv-python-headless, pycocotools==2.0.11)

`scripts/check_masks.py` asks thousands of these.
"""

import json
import pathlib

import cv2
import numpy as np
from pycocotools import mask as coco


def bitmap_of(text, size):
    return coco.decode({"size": list(size), "counts": text.encode()})


def text_of(bitmap):
    return coco.encode(np.asfortranarray(bitmap.astype(np.uint8)))["counts"].decode()


def digits(bitmap):
    return "".join(map(str, bitmap.astype(np.uint8).T.flatten()))


def rle(text, size):
    return {"size": list(size), "counts": text.encode()}


def boundary_of(bitmap, ratio):
    """Pixels that repeated erosion by 3 × 3 removes; the image has a frame of zeros."""
    height, width = bitmap.shape
    times = max(int(round(ratio * np.sqrt(height**2 + width**2))), 1)
    framed = np.zeros((height + 2, width + 2), np.uint8)
    framed[1:-1, 1:-1] = bitmap
    kept = cv2.erode(framed, np.ones((3, 3), np.uint8), iterations=times)
    return bitmap - kept[1:-1, 1:-1]


def counts_of(bitmap):
    columns = bitmap.astype(np.uint8).T.flatten()
    edges = np.flatnonzero(np.diff(columns)) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(columns)]])).tolist()
    return counts if not columns[0] else [0, *counts]


def random_size(rng):
    kind = rng.integers(10)
    if kind == 0:
        return 1, int(rng.integers(1, 90))
    if kind == 1:
        return int(rng.integers(1, 90)), 1
    if kind == 2:
        return int(rng.integers(1, 6)), int(rng.integers(1, 6))
    if kind == 3:
        return int(rng.integers(100, 500)), int(rng.integers(100, 500))
    return int(rng.integers(3, 90)), int(rng.integers(3, 90))


def random_bitmap(rng, size):
    """Empty, full, one pixel, noise of any density, ellipses with holes, rectangles, stripes."""
    height, width = size
    ys, xs = np.mgrid[:height, :width]
    kind = rng.integers(12)
    if kind == 0:
        return np.zeros(size, np.uint8)
    if kind == 1:
        return np.ones(size, np.uint8)
    if kind == 2:
        found = np.zeros(size, np.uint8)
        found[rng.integers(height), rng.integers(width)] = 1
        return found
    if kind <= 4:
        return (rng.random(size) < rng.random() ** 2).astype(np.uint8)
    if kind == 5:
        stripes = xs // rng.integers(1, 9) + (ys // rng.integers(1, 9) if rng.random() < 0.5 else 0)
        return (stripes % 2).astype(np.uint8)
    if kind == 6:
        return (rng.random(size) > 0.02 * rng.random()).astype(np.uint8)
    found = np.zeros(size, bool)
    for _ in range(rng.integers(1, 5)):
        a, b = rng.random(2) * size
        r, s = rng.random(2) * size / 2 + 0.5
        if kind < 10:
            inside = ((ys - a) / r) ** 2 + ((xs - b) / s) ** 2 < 1
        else:
            inside = (abs(ys - a) < r) & (abs(xs - b) < s)
        found = found & ~inside if rng.random() < 0.3 else found | inside
    return found.astype(np.uint8)


def random_polygon(rng, size):
    """Round, self-crossing, outside, of odd winding, with repeated points, on whole and half pixels, far away."""
    height, width = size
    kind = rng.integers(9)
    points = int(rng.integers(3, 40)) if kind != 1 else int(rng.integers(3, 6))
    scale = np.array([width, height])
    if kind == 0:
        polygon = rng.random((points, 2)) * scale
    elif kind == 1:
        polygon = (rng.random((points, 2)) * 3 - 1) * scale
    elif kind == 2:
        polygon = np.round(rng.random((points, 2)) * scale * 1.2)
    elif kind == 3:
        polygon = np.round((rng.random((points, 2)) * 1.4 - 0.2) * scale * 2) / 2
    elif kind == 4:
        polygon = np.repeat(rng.random((points, 2)) * scale, rng.integers(1, 4), axis=0)
    elif kind == 5:
        polygon = (rng.random((points, 2)) - 0.5) * scale * 10.0 ** rng.integers(1, 4)
    elif kind == 6:
        around = rng.random((points, 2)) * scale
        polygon = np.concatenate([around, around[::-1]])
    else:
        angle = np.sort(rng.random(points)) * 2 * np.pi * rng.integers(1, 4) * rng.choice([-1, 1])
        radius = (0.7 + 0.3 * rng.random((points, 1))) * rng.random() * scale * 0.7
        polygon = np.stack([np.cos(angle), np.sin(angle)], 1) * radius + rng.random(2) * scale
        if rng.random() < 0.5:
            polygon = np.round(polygon, 2)
    return polygon.flatten().tolist()


def random_box(rng, size):
    height, width = size
    if rng.random() < 0.2:
        return [float(v) for v in rng.integers(-5, 100, 4)]
    x, y, w, h = (rng.random(4) * 1.5 - 0.3) * [width, height, width, height]
    return [float(x), float(y), float(w), float(h)]


def case(rng, op, size, masks=6):
    """A request and the references' answer."""
    size = tuple(size)
    asked = {"op": op, "size": list(size)}

    def several(least):
        return [text_of(random_bitmap(rng, size)) for _ in range(rng.integers(least, masks + 1))]

    if op == "encode":
        bitmap = random_bitmap(rng, size)
        return asked | {"bitmap": digits(bitmap)}, text_of(bitmap)
    if op == "mask":
        text = text_of(random_bitmap(rng, size))
        found = rle(text, size)
        return asked | {"text": text}, {
            "area": int(coco.area(found)),
            "box": [int(v) for v in coco.toBbox(found)],
            "bitmap": digits(bitmap_of(text, size)),
            "text": text,
        }
    if op == "counts":
        counts = counts_of(random_bitmap(rng, size))
        # Runs of length 0, which change nothing but the text.
        for _ in range(rng.integers(0, 3)):
            at = int(rng.integers(1, len(counts) + 1))
            counts[at:at] = [0, 0]
        found = coco.frPyObjects({"size": list(size), "counts": counts}, *size)
        return asked | {"counts": counts}, {
            "area": int(coco.area(found)),
            "box": [int(v) for v in coco.toBbox(found)] if coco.area(found) else [0, 0, 0, 0],
            "text": found["counts"].decode(),
        }
    if op == "merge":
        texts, intersect = several(1), bool(rng.integers(2))
        whole = coco.merge([rle(t, size) for t in texts], intersect)
        return asked | {"texts": texts, "intersect": intersect}, whole["counts"].decode()
    if op in ("iou", "boundary_iou"):
        detections, truths = several(1), several(1)
        crowd = [bool(v) for v in rng.integers(2, size=len(truths))]

        def overlaps(d, g):
            found = coco.iou([rle(t, size) for t in d], [rle(t, size) for t in g], [int(c) for c in crowd])
            return np.array(found)

        found = overlaps(detections, truths)
        asked |= {"detections": detections, "truths": truths, "crowd": crowd}
        if op == "boundary_iou":
            asked["ratio"] = float(rng.choice([0.02, 0.005, 0.1]))
            lines = [
                [text_of(boundary_of(bitmap_of(t, size), asked["ratio"])) for t in texts]
                for texts in (detections, truths)
            ]
            keep = ~np.array(crowd)
            found[:, keep] = np.minimum(found, overlaps(*lines))[:, keep]
        return asked, found.flatten().tolist()
    if op == "box_iou":
        detections = [random_box(rng, size) for _ in range(rng.integers(1, masks + 1))]
        truths = [random_box(rng, size) for _ in range(rng.integers(1, masks + 1))]
        crowd = [bool(v) for v in rng.integers(2, size=len(truths))]
        found = coco.iou(np.array(detections), np.array(truths), [int(c) for c in crowd])
        return {"op": op, "detections": detections, "truths": truths, "crowd": crowd}, found.flatten().tolist()
    if op == "polygons":
        if rng.random() < 0.1:
            polygons = [
                {"size": list(size), "counts": counts_of(random_bitmap(rng, size))}
                for _ in range(rng.integers(1, 4))
            ]
        else:
            polygons = [random_polygon(rng, size) for _ in range(rng.integers(1, 4))]
        parts = coco.frPyObjects(polygons, *size)
        return asked | {"segmentation": polygons}, {
            "parts": [part["counts"].decode() for part in parts],
            "whole": coco.merge(parts)["counts"].decode(),
        }
    if op == "boxes":
        boxes = [random_box(rng, size) for _ in range(rng.integers(1, 4))]
        return asked | {"boxes": boxes}, [m["counts"].decode() for m in coco.frPyObjects(np.array(boxes), *size)]
    if op == "boundary":
        bitmap = random_bitmap(rng, size)
        ratio = float(rng.choice([0.02, 0.02, 0.005, 0.0, 0.05, 0.3]))
        return asked | {"text": text_of(bitmap), "ratio": ratio}, text_of(boundary_of(bitmap, ratio))
    raise ValueError(op)


OPS = ["encode", "mask", "counts", "merge", "iou", "box_iou", "polygons", "boxes", "boundary", "boundary_iou"]


def main():
    rng = np.random.default_rng(0)
    cases = []
    for op in OPS:
        length, wanted = 0, 40
        while wanted and length < 26_000:
            height, width = random_size(rng)
            if height * width > 3_000 and op != "polygons":
                continue
            request, answer = case(rng, op, (height, width), masks=4)
            length += len(json.dumps([request, answer]))
            cases.append([request, answer])
            wanted -= 1
    target = pathlib.Path(__file__).parents[2] / "crates/longtail-mask/tests/fixtures/answers.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text("[\n" + ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases) + "\n]\n")
    print(f"{len(cases)} cases, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
