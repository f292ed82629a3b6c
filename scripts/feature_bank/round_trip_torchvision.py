"""There and back: a torchvision detector's features are extracted here, its classifier is repaired by `longtail`, loaded
back here, and the detections of the two must be equal. The detector is small and its weights are random: what is proven
is the way of the numbers, not their worth.

Usage: python scripts/feature_bank/round_trip_torchvision.py [path of longtail]
Needs torch, torchvision, numpy, safetensors.
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import types

import numpy as np
import torch
from safetensors.torch import load_file
from torchvision.models.detection import FasterRCNN, roi_heads
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

from torchvision_features import classifier_arrays, proposal_arrays, training_arrays

CATEGORIES = [3, 7, 11, 20]  # ids with gaps
SIDE = 160


def make_images(count, seed):
    """Rectangles of a colour for each class on noise, as images with targets, and as a COCO file."""
    generator = np.random.default_rng(seed)
    images, targets, annotations = [], [], []
    for index in range(count):
        pixels = generator.uniform(0, 0.3, (3, SIDE, SIDE)).astype("float32")
        boxes, labels = [], []
        for _ in range(generator.integers(1, 4)):
            x, y, w, h = (*generator.integers(0, 90, 2), *generator.integers(30, 60, 2))
            label = int(generator.choice(4, p=[0.6, 0.25, 0.1, 0.05]))
            pixels[label % 3, y : y + h, x : x + w] += 0.5 + 0.2 * (label // 3)
            boxes.append([x, y, x + w, y + h])
            labels.append(label + 1)
            annotations.append((index, CATEGORIES[label], [int(x), int(y), int(w), int(h)]))
        images.append(torch.from_numpy(pixels))
        targets.append({"boxes": torch.tensor(boxes, dtype=torch.float32), "labels": torch.tensor(labels)})
    file = {
        "images": [{"id": i, "file_name": f"{i}.png", "width": SIDE, "height": SIDE} for i in range(count)],
        "annotations": [
            {"id": k + 1, "image_id": i, "category_id": c, "bbox": b, "area": b[2] * b[3], "iscrowd": 0}
            for k, (i, c, b) in enumerate(annotations)
        ],
        "categories": [{"id": c, "name": f"class {c}"} for c in CATEGORIES],
    }
    return images, targets, file


def largest_difference(ours, model, images):
    """Detections of `longtail` against the model's own: same classes, boxes and scores, image by image."""
    model.eval()
    with torch.no_grad():
        theirs = model(images)
    worst, compared = 0.0, 0
    for index, found in enumerate(theirs):
        mine = sorted((d for d in ours if d["image_id"] == index), key=lambda d: -d["score"])
        assert len(mine) == len(found["scores"]), f"image {index}: {len(mine)} detections, {len(found['scores'])} there"
        # Equal scores may change places.
        key = lambda d: (round(-d["score"], 4), d["category_id"], [round(v, 1) for v in d["bbox"]])
        boxes = found["boxes"].clone()
        boxes[:, 2:] -= boxes[:, :2]
        there = [
            {"category_id": CATEGORIES[l - 1], "bbox": b.tolist(), "score": s.item()}
            for l, b, s in zip(found["labels"], boxes, found["scores"])
        ]
        for a, b in zip(sorted(mine, key=key), sorted(there, key=key)):
            assert a["category_id"] == b["category_id"], (index, a, b)
            worst = max(worst, abs(a["score"] - b["score"]), *(abs(x - y) / SIDE for x, y in zip(a["bbox"], b["bbox"])))
            compared += 1
    return compared, worst


def main():
    longtail = sys.argv[1] if len(sys.argv) > 1 else "target/release/longtail"
    work = pathlib.Path(tempfile.mkdtemp())
    run = lambda *arguments: subprocess.run([longtail, *map(str, arguments)], check=True)
    torch.manual_seed(0)
    backbone = resnet_fpn_backbone(backbone_name="resnet18", weights=None, trainable_layers=5)
    model = FasterRCNN(
        backbone, num_classes=5, min_size=SIDE, max_size=SIDE, box_batch_size_per_image=64, rpn_post_nms_top_n_test=60
    )
    images, targets, train = make_images(40, 0)
    test_images, _, test = make_images(12, 1)
    (work / "train.json").write_text(json.dumps(train))
    (work / "test.json").write_text(json.dumps(test))

    pieces = range(0, len(images), 4)
    batches = ((images[i : i + 4], targets[i : i + 4], list(range(i, i + 4))) for i in pieces)
    np.savez(work / "train.npz", **training_arrays(model, batches), **classifier_arrays(model))
    batches = ((test_images[i : i + 4], list(range(i, i + 4))) for i in range(0, len(test_images), 4))
    np.savez(work / "test.npz", **proposal_arrays(model, batches))

    common = ("--classes", work / "train.json", "--precision", "f32")
    run("features", "import", work / "train.npz", *common, "--rois-per-image", 64, "--out", work / "bank")
    rules = ("--score-threshold", 0.05, "--nms-iou", 0.5, "--max-detections", 100)
    truth = ("--truth", work / "test.json", "--protocol", "coco")
    run("features", "import", work / "test.npz", *common, "--proposals", *rules, *truth, "--out", work / "bank/validation")

    detections = lambda head: (
        run("head", "eval", head, work / "bank/validation", "--detections", work / "found.json"),
        json.loads((work / "found.json").read_text()),
    )[1]
    before = largest_difference(detections(work / "bank/stage1.safetensors"), model, test_images)
    print(f"before: {before[0]} detections, largest difference {before[1]:.2e}")

    assert before[1] < 1e-4
    for loss in ("softmax-cross-entropy", "acsl"):
        head, file = work / f"{loss}.safetensors", work / "cls_score.safetensors"
        run("head", "train", work / "bank", "--loss", loss, "--iterations", 200, "--batch-size", 8, "--out", head)
        run("head", "apply", head, "--to", "torchvision", "--out", file)
        old = model.roi_heads.box_predictor.cls_score.weight.detach().clone()
        missing, unexpected = model.load_state_dict(load_file(file), strict=False)
        assert not unexpected and len(missing) == len(model.state_dict()) - 2, unexpected
        moved = (model.roi_heads.box_predictor.cls_score.weight - old).norm().item()
        if loss == "acsl":  # sigmoid scores
            names = {**vars(roi_heads.F), "softmax": lambda logits, dim: torch.sigmoid(logits)}
            roi_heads.F = types.SimpleNamespace(**names)
        after = largest_difference(detections(head), model, test_images)
        print(f"{loss}: {after[0]} detections, largest difference {after[1]:.2e}; the classifier moved by {moved:.2f}")
        assert moved > 0.1 and after[1] < 1e-4
    print("equal")


if __name__ == "__main__":
    main()
