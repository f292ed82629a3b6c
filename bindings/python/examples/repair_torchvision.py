"""Repairs the classifier of a torchvision Faster R-CNN, and prints its metrics before and after.

python repair_torchvision.py images train.json validation.json [weights.pth]    (COCO's layout)
"""

import sys

import longtail
import torch
from longtail.eval import COCO
from PIL import Image
from torchvision.models import detection
from torchvision.transforms.functional import to_tensor

folder, train, validation, *weights = sys.argv[1:]
label_of = {category: label for label, category in enumerate(sorted(COCO(train).cats), 1)}


def batches(path):
    coco = COCO(path)
    for image, record in coco.imgs.items():
        found = [a for a in coco.imgToAnns[image] if a["bbox"][2] > 0 and a["bbox"][3] > 0]
        x = torch.tensor([a["bbox"] for a in found]).reshape(-1, 4)
        boxes = torch.cat([x[:, :2], x[:, :2] + x[:, 2:]], dim=1)
        labels = torch.tensor([label_of[a["category_id"]] for a in found], dtype=torch.int64)
        target = {"boxes": boxes, "labels": labels, "image_id": image}
        yield [to_tensor(Image.open(f"{folder}/{record['file_name']}").convert("RGB"))], [target]


model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
    weights=None, weights_backbone=None, num_classes=len(label_of) + 1
)
if weights:
    model.load_state_dict(torch.load(weights[0], weights_only=True))
result = longtail.repair(model, list(batches(train)), loss="acsl", validation=list(batches(validation)))
print(result)
