"""Masks by pycocotools; writes crates/longtail-data/tests/fixtures/masks.json.

python scripts/golden/masks.py   (numpy, pycocotools)
"""

import json
import pathlib

import numpy as np
from pycocotools import mask

HEIGHT, WIDTH = 30, 44
random = np.random.default_rng(0)
ys, xs = np.mgrid[:HEIGHT, :WIDTH]
masks = {
    "ellipse": ((xs - 20) / 15) ** 2 + ((ys - 12) / 9) ** 2 < 1,
    "noise": random.random((HEIGHT, WIDTH)) < 0.4,
    "first pixel": (xs == 0) & (ys == 0),
    "all": np.ones((HEIGHT, WIDTH), bool),
    "long runs": (xs // 11) % 2 == 1,
}
runs = []
for name, found in masks.items():
    coded = mask.encode(np.asfortranarray(found.astype(np.uint8)))
    columns = found.T.flatten()
    edges = np.flatnonzero(np.diff(columns)) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(columns)]])).tolist()
    counts = counts if not columns[0] else [0, *counts]
    runs.append({
        "name": name,
        "text": {"size": [HEIGHT, WIDTH], "counts": coded["counts"].decode()},
        "list": {"size": [HEIGHT, WIDTH], "counts": counts},
        "rows": ["".join(map(str, row.astype(int))) for row in found],
    })
polygons = []
for points in [
    [[3.2, 4.1, 30.7, 2.5, 38.0, 25.5, 12.4, 28.0]],
    [[5.0, 5.0, 20.0, 5.0, 20.0, 20.0, 5.0, 20.0], [25.5, 8.5, 40.5, 8.5, 33.0, 27.5]],
    [[2.0, 2.0, 40.0, 2.0, 21.0, 15.0, 40.0, 28.0, 2.0, 28.0]],
]:
    found = mask.decode(mask.merge(mask.frPyObjects(points, HEIGHT, WIDTH)))
    polygons.append({"segmentation": points, "rows": ["".join(map(str, row)) for row in found]})
target = pathlib.Path(__file__).parents[2] / "crates/longtail-data/tests/fixtures/masks.json"
target.write_text(json.dumps({"height": HEIGHT, "width": WIDTH, "runs": runs, "polygons": polygons}) + "\n")
