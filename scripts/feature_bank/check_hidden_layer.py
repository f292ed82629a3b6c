"""Twenty steps of `longtail head train` over a hidden layer against the same steps by PyTorch in float64: softmax and ACSL,
linear, normalised and cosine classifiers, with momentum, weight decay, clipping, warm-up, a milestone and a learning rate
of the hidden layer's own. Every RoI comes in every step, so that both see the same. Fails above a relative 1e-4.

Usage: python scripts/feature_bank/check_hidden_layer.py [path of longtail]
Needs torch, numpy, safetensors.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.numpy import load_file
from torch.nn import functional as F

LONGTAIL = sys.argv[1] if len(sys.argv) > 1 else "target/release/longtail"
CLASSES, INPUTS, HIDDEN, ROIS, IMAGES, STEPS = 5, 300, 280, 600, 6, 20
RATE, FACTOR, DECAY, CLIP = 0.2, 0.5, 0.01, 0.05


def longtail(*arguments):
    subprocess.run([LONGTAIL, *map(str, arguments)], check=True, capture_output=True)


def start():
    generator = np.random.default_rng(0)
    labels = generator.integers(1, CLASSES + 1, ROIS) * (generator.random(ROIS) < 0.2)
    return {
        "features": np.maximum(generator.normal(size=(ROIS, INPUTS)), 0).astype("float32"),
        "labels": labels.astype("int64"),
        "image_ids": np.arange(ROIS) % IMAGES,
        "classifier.weight": (generator.normal(size=(CLASSES + 1, HIDDEN)) * 0.05).astype("float32"),
        "classifier.bias": np.zeros(CLASSES + 1, "float32"),
        "hidden.weight": (generator.normal(size=(HIDDEN, INPUTS)) * (2 / INPUTS) ** 0.5).astype("float32"),
        "hidden.bias": (generator.normal(size=HIDDEN) * 0.1).astype("float32"),
    }


def loss_of(loss, logits, labels):
    if loss == "softmax-cross-entropy":
        return F.cross_entropy(logits, labels)
    # ACSL of threshold 0.5; background suppresses every class.
    targets = F.one_hot(labels, CLASSES + 1).double()
    kept = (torch.sigmoid(logits.detach()) >= 0.5) | (targets > 0) | (labels == 0)[:, None]
    return (F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * kept).sum() / len(labels)


def by_torch(arrays, loss, kind):
    features, labels = torch.tensor(arrays["features"]).double(), torch.tensor(arrays["labels"])
    names = ["classifier.weight", "classifier.bias", "hidden.weight", "hidden.bias"]
    weight, bias, below, below_bias = (torch.tensor(arrays[n]).double().requires_grad_() for n in names)
    scale = {"linear": None, "normalized": weight.detach().norm(dim=1).mean(), "cosine": 20.0}[kind]
    rows = lambda: weight if scale is None else scale * weight / weight.norm(dim=1, keepdim=True)
    groups = [{"params": [weight, bias], "factor": 1.0}, {"params": [below, below_bias], "factor": FACTOR}]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=0.9, weight_decay=DECAY)
    for step in range(STEPS):
        schedule = min(1 / 3 + 2 / 3 * step / 3, 1) * (0.1 if step >= 0.6 * STEPS else 1)
        for group in optimizer.param_groups:
            group["lr"] = RATE * schedule * group["factor"]
        outputs = torch.relu(features @ below.T + below_bias)
        if kind == "cosine":
            outputs = outputs / outputs.norm(dim=1, keepdim=True)
        optimizer.zero_grad()
        loss_of(loss, outputs @ rows().T + bias, labels).backward()
        torch.nn.utils.clip_grad_norm_([weight, bias, below, below_bias], CLIP)
        optimizer.step()
    found = {"weight": rows(), "bias": bias, "hidden.weight": below, "hidden.bias": below_bias}
    return {name: value.detach().numpy() for name, value in found.items()}


def main(folder):
    arrays = start()
    annotation = {"image_id": 0, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}
    classes = {
        "images": [{"id": i, "file_name": str(i), "width": 9, "height": 9} for i in range(IMAGES)],
        "annotations": [{**annotation, "id": c + 1, "category_id": c + 1} for c in range(CLASSES)],
        "categories": [{"id": c + 1, "name": f"class {c}"} for c in range(CLASSES)],
    }
    (folder / "classes.json").write_text(json.dumps(classes))
    np.savez(folder / "arrays.npz", **arrays)
    every_roi = ["--rois-per-image", 10**6, "--positive-fraction", 1]
    longtail("features", "import", folder / "arrays.npz", "--classes", folder / "classes.json", "--out", folder / "bank",
             "--precision", "f32", *every_roi)
    before = {"weight": arrays["classifier.weight"], "bias": arrays["classifier.bias"]} | arrays
    failed = False
    for loss in ["softmax-cross-entropy", "acsl"]:
        for kind in ["linear", "normalized", "cosine"]:
            settings = [
                f'classifier={{ kind = "{kind}" }}',
                f'hidden={{ kind = "trained", learning_rate_factor = {FACTOR} }}',
                "schedule={ warmup_iterations = 3, milestones = [0.6] }",
                f'optimizer={{ kind = "sgd", learning_rate = {RATE}, weight_decay = {DECAY}, gradient_clip_norm = {CLIP} }}',
            ] + (['loss.background="dense"', "loss.threshold=0.5"] if loss == "acsl" else [])
            longtail("head", "train", folder / "bank", "--loss", loss, "--iterations", STEPS, "--batch-size", IMAGES,
                     "--out", folder / "head.safetensors", *(word for s in settings for word in ("--set", s)))
            ours, theirs = load_file(folder / "head.safetensors"), by_torch(arrays, loss, kind)
            for name, expected in theirs.items():
                error, moved = np.abs(ours[name] - expected).max(), np.abs(expected - before[name]).max()
                failed |= not error < 1e-4 * moved
                print(f"{loss:22} {kind:11} {name:14} moved by {moved:.1e}, apart by {error:.1e}")
    return failed


with tempfile.TemporaryDirectory() as made:
    sys.exit(main(pathlib.Path(made)))
