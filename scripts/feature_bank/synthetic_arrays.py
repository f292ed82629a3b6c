"""Synthetic RoI features for `longtail features import`: class means in noise, ReLU, a long tail.

Usage: python scripts/feature_bank/synthetic_arrays.py OUT_FOLDER ROWS WIDTH CLASSES
Writes features.npy (float16), labels.npy, image_ids.npy and classes.json.
"""

import json
import pathlib
import sys

import numpy as np

out, (rows, width, classes) = pathlib.Path(sys.argv[1]), map(int, sys.argv[2:5])
out.mkdir(parents=True, exist_ok=True)
generator = np.random.default_rng(0)
counts = 1 / np.arange(1, classes + 1) ** 1.1
labels = np.where(
    np.arange(rows) % 4 == 0, generator.choice(classes, rows, p=counts / counts.sum()) + 1, 0
).astype("int64")
means = generator.normal(0, 1, (classes + 1, width)).astype("float32")
features = np.lib.format.open_memmap(out / "features.npy", "w+", "float16", (rows, width))
for start in range(0, rows, 16384):
    part = labels[start : start + 16384]
    noise = generator.normal(0, 1, (len(part), width)).astype("float32")
    features[start : start + len(part)] = np.maximum(0.6 * means[part] + 0.5 * noise, 0)
features.flush()
np.save(out / "labels.npy", labels)
np.save(out / "image_ids.npy", np.arange(rows) // 512)
file = {
    "images": [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 480} for i in range(rows // 512 + 1)],
    "annotations": [
        {"id": k + 1, "image_id": int(n) // 512, "category_id": int(labels[n]), "bbox": [0, 0, 9, 9], "area": 81}
        for k, n in enumerate(np.flatnonzero(labels)[::8])
    ],
    "categories": [{"id": c + 1, "name": f"class {c + 1}"} for c in range(classes)],
}
(out / "classes.json").write_text(json.dumps(file))
