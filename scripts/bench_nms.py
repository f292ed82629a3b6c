"""Class-wise NMS of 1,000 proposals × 1,203 classes down to 300 detections: ours, one call a class, torchvision's
batched_nms. Needs: pip install torch torchvision.

    cargo build --release -p longtail-detect --example bench_nms && python scripts/bench_nms.py
"""

import json
import os
import subprocess
import tempfile
import time

import torch
from torchvision.ops import batched_nms

torch.set_num_threads(int(os.environ.get("RAYON_NUM_THREADS", 2)))
ROIS, CLASSES, KEEP = 1000, 1203, 300
generator = torch.Generator().manual_seed(0)
corner = torch.rand(ROIS, 2, generator=generator) * 900
side = torch.rand(ROIS, 2, generator=generator) * 300 + 10
boxes = torch.cat([corner, corner + side], 1)
scores = torch.softmax(torch.randn(ROIS, CLASSES + 1, generator=generator) * 3, 1)[:, 1:].contiguous()
with tempfile.NamedTemporaryFile(suffix=".f32") as file:
    file.write(boxes.numpy().tobytes() + scores.numpy().tobytes())
    file.flush()
    ours = json.loads(subprocess.check_output(["target/release/examples/bench_nms", file.name]))


def theirs():
    flat = scores.flatten()
    labels = torch.arange(CLASSES).repeat(ROIS)
    repeated = boxes.repeat_interleave(CLASSES, 0)
    return batched_nms(repeated, flat, labels, 0.5)[:KEEP]


best = float("inf")
for _ in range(3):
    began = time.perf_counter()
    kept = theirs()
    best = min(best, time.perf_counter() - began)
same = set(kept.tolist()) == set(ours["kept"])
print(f"ours {ours['ours'] * 1e3:.1f} ms, one call a class {ours['loop'] * 1e3:.1f} ms, torchvision {best * 1e3:.1f} ms")
print(f"one call a class / ours {ours['loop'] / ours['ours']:.1f}, ours / torchvision {ours['ours'] / best:.4f}, "
      f"same detections: {same}")
