"""A full-size Faster R-CNN R50-FPN of torchvision against `longtail`, in both directions; see check_torchvision.sh."""

import json
import pathlib
import subprocess
import sys
import time

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors import safe_open

LONGTAIL, FOLDER, PHOTO = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
CLASSES = 90


def fresh():
    return torchvision.models.detection.fasterrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=CLASSES + 1
    )


def spread(model, generator):
    """Random weights whose scores are no ties."""
    for name, value in model.state_dict().items():
        if value.dim() == 0:
            continue
        if value.dim() == 1:
            if "running_var" in name:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif "bn3.weight" in name:
                value.fill_(0.3)
            elif "running_mean" in name or name.endswith("bias"):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
        else:
            gain = {"fpn": 0.25, "rpn.head.bbox_pred": 0.3, "cls_score": 4.0, "box_predictor.bbox_pred": 0.7}
            scale = next((g for key, g in gain.items() if key in name), 2**0.5)
            value.copy_(torch.randn(value.shape, generator=generator) * scale * value[0].numel() ** -0.5)


def run(*arguments):
    print("$ longtail", *arguments)
    subprocess.run([LONGTAIL, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL)


def detections(model, path):
    pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB")).copy()).permute(2, 0, 1) / 255
    with torch.no_grad():
        return model([pixels])[0]


def compare(found, expected, what):
    """Both sides' boxes in the order of scores; equal scores may change places."""
    assert len(found) == len(expected["scores"]) > 0, (what, len(found), len(expected["scores"]))
    box = score = 0.0
    for f, b, l, s in zip(found, expected["boxes"].tolist(), expected["labels"].tolist(), expected["scores"].tolist()):
        x, y, w, h = f["bbox"]
        assert f["category_id"] == l, (what, f, b, l, s)
        box = max(box, *(abs(p - q) for p, q in zip((x, y, x + w, y + h), b)))
        score = max(score, abs(f["score"] - s))
    print(f"{what}: {len(found)} detections, boxes within {box:.4f} px, scores within {score:.1e}")
    assert box <= 0.05 and score <= 1e-4, what


def main():
    generator = torch.Generator().manual_seed(3)
    model = fresh().eval()
    spread(model, generator)
    if PHOTO:
        image = Image.open(PHOTO[0]).convert("RGB")
    else:
        image = Image.fromarray(torch.randint(0, 256, (13, 17, 3), generator=generator).byte().numpy())
    photo = FOLDER / "photo.png"
    # Nothing to resize: the libraries shrink images differently.
    image.resize((1088, 800), Image.BICUBIC).save(photo)

    torch.save(model.state_dict(), FOLDER / "torchvision.pth")
    run("weights", "import", FOLDER / "torchvision.pth", "--out", FOLDER / "imported.safetensors")
    began = time.time()
    run("predict", FOLDER / "imported.safetensors", photo, "--score-threshold", "0", "--out", FOLDER / "predictions")
    print(f"{time.time() - began:.1f} s")
    found = json.loads((FOLDER / "predictions/detections.json").read_text())
    expected = detections(model, photo)
    compare(found, expected, "imported")

    run("weights", "export", FOLDER / "imported.safetensors", "--naming", "torchvision", "--out",
        FOLDER / "exported.safetensors")
    with safe_open(FOLDER / "exported.safetensors", "pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}
        classes = json.loads(file.metadata()["classes"])
    assert len(classes) == CLASSES
    back = fresh().eval()
    result = back.load_state_dict(state, strict=False)
    left = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    assert not result.unexpected_keys and not left, result
    again = detections(back, photo)
    same = all(torch.equal(again[key], expected[key]) for key in expected)
    # The rows of the background box are not kept: they are never decoded.
    print("exported and loaded into torchvision: detections", "equal to the bit" if same else "differ")
    assert same


main()
