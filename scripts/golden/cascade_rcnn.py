"""Golden vectors of a Cascade R-CNN, for crates/longtail-train/tests/golden_cascade.rs.

    python scripts/golden/cascade_rcnn.py      # writes crates/longtail-train/tests/golden/cascade

The backbone, pyramid and proposals of faster_rcnn.py (torchvision's own parts), and three heads written here from the
paper (Cai and Vasconcelos, CVPR 2018) with torchvision's RoIAlign, box coder and NMS, in float64. The weights carry the
names of mmdetection 2.x. Every anchor and every RoI is sampled, so that no draw has to be shared.
"""

import json
import pathlib
import re

import torch
from faster_rcnn import CLASSES, FPN, HIDDEN, SIZE, fill, freeze, model
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import batched_nms, box_iou, clip_boxes_to_image

OUT = pathlib.Path(__file__).parents[2] / "crates/longtail-train/tests/golden/cascade"
IOUS = (0.5, 0.6, 0.7)
DEVIATIONS = ((0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1), (0.033, 0.033, 0.067, 0.067))
WEIGHTS = (1.0, 0.5, 0.25)


class Head(nn.Module):
    """Two hidden layers, a classifier with background last, one box regression for all classes."""

    def __init__(self):
        super().__init__()
        self.shared_fcs = nn.ModuleList([nn.Linear(FPN * 49, HIDDEN), nn.Linear(HIDDEN, HIDDEN)])
        self.fc_cls = nn.Linear(HIDDEN, CLASSES + 1)
        self.fc_reg = nn.Linear(HIDDEN, 4)

    def forward(self, x):
        x = x.flatten(1)
        for layer in self.shared_fcs:
            x = layer(x).relu()
        return self.fc_cls(x), self.fc_reg(x)


def sample(proposals, targets, iou):
    """All boxes and the ground truth; their labels (background last), matches, and which are the ground truth itself."""
    found = []
    for boxes, target in zip(proposals, targets):
        boxes = torch.cat([boxes, target["boxes"]])
        best, match = box_iou(boxes, target["boxes"]).max(1)
        labels = torch.where(best >= iou, target["labels"][match] - 1, CLASSES)
        given = torch.arange(len(boxes)) >= len(boxes) - len(target["boxes"])
        found.append((boxes, labels, target["boxes"][match], given))
    return found


def refine(coder, boxes, deltas, sizes):
    counts = [len(b) for b in boxes]
    decoded = coder.decode(deltas.detach(), boxes).reshape(-1, 4).split(counts)
    return [clip_boxes_to_image(b, size) for b, size in zip(decoded, sizes)]


def train(detector, heads, images, features, targets, proposals):
    losses = {}
    for number, (head, iou, deviations) in enumerate(zip(heads, IOUS, DEVIATIONS)):
        coder = BoxCoder([1 / d for d in deviations])
        rois = sample(proposals, targets, iou)
        boxes = [r[0] for r in rois]
        logits, deltas = head(detector.roi_heads.box_roi_pool(features, boxes, images.image_sizes))
        labels = torch.cat([r[1] for r in rois])
        aims = torch.cat([coder.encode_single(r[2], r[0]) for r in rois])
        of_object = labels < CLASSES
        weight = WEIGHTS[number]
        losses[f"{number}.classification"] = weight * functional.cross_entropy(logits, labels)
        boxes_loss = functional.smooth_l1_loss(deltas[of_object], aims[of_object], beta=1.0, reduction="sum")
        losses[f"{number}.boxes"] = weight * boxes_loss / len(labels)
        refined = refine(coder, boxes, deltas, images.image_sizes)
        proposals = [b[~r[3]] for b, r in zip(refined, rois)]
    return losses


def detect(detector, heads, images, features, proposals):
    sizes, boxes, total, out = images.image_sizes, proposals, 0, {}
    for number, (head, deviations) in enumerate(zip(heads, DEVIATIONS)):
        coder = BoxCoder([1 / d for d in deviations])
        logits, deltas = head(detector.roi_heads.box_roi_pool(features, boxes, sizes))
        out[f"logits.{number}"], out[f"deltas.{number}"] = logits.float(), deltas.float()
        total = total + logits
        boxes = refine(coder, boxes, deltas, sizes)
    scores = (total / len(heads)).softmax(1)[:, :-1].split([len(b) for b in boxes])
    for image, (boxes, scores) in enumerate(zip(boxes, scores)):
        place, label = (scores > 0.05).nonzero(as_tuple=True)
        boxes, scores = boxes[place], scores[place, label]
        keep = batched_nms(boxes, scores, label, 0.5)[:50]
        found = {"boxes": boxes[keep].float(), "scores": scores[keep].float(), "labels": label[keep].int()}
        out.update({f"{key}.{image}": value for key, value in found.items()})
    return out


def mmdetection(name):
    """torchvision's name of a part below the heads, in mmdetection 2.x."""
    for pattern, new in (
        (r"^backbone\.body\.", "backbone."),
        (r"^backbone\.fpn\.inner_blocks\.(\d)\.0\.", r"neck.lateral_convs.\1.conv."),
        (r"^backbone\.fpn\.layer_blocks\.(\d)\.0\.", r"neck.fpn_convs.\1.conv."),
        (r"^rpn\.head\.conv\.0\.0\.", "rpn_head.rpn_conv."),
        (r"^rpn\.head\.cls_logits\.", "rpn_head.rpn_cls."),
        (r"^rpn\.head\.bbox_pred\.", "rpn_head.rpn_reg."),
    ):
        name, changed = re.subn(pattern, new, name)
        if changed:
            return name
    return None


def named(below, heads):
    tensors = {mmdetection(name): value for name, value in below.items() if mmdetection(name)}
    return tensors | {f"roi_head.bbox_head.{name}": value for name, value in heads.items()}


def main():
    generator = torch.Generator().manual_seed(23)
    detector = model()
    fill(detector, generator)
    heads = nn.ModuleList(Head() for _ in IOUS)
    with torch.no_grad():
        for name, value in heads.state_dict().items():
            gain = {"fc_cls": 1.5, "fc_reg": 0.7}.get(name.split(".")[1], 2**0.5)
            normal = torch.randn(value.shape, generator=generator)
            value.copy_(normal * (0.1 if value.dim() == 1 else gain * value[0].numel() ** -0.5))
    state = {name: value.clone() for name, value in named(detector.state_dict(), heads.state_dict()).items()}
    detector, heads = detector.double(), heads.double()
    freeze(detector)

    pixels = torch.randint(-20, 21, (2, 3, *SIZE), generator=generator).to(torch.int8)
    images = ImageList(pixels.double() / 10, [(96, 128), (90, 120)])
    targets = [
        {"boxes": torch.tensor([[10.0, 12, 60, 70], [70, 20, 120, 90], [5, 60, 40, 92]]).double(),
         "labels": torch.tensor([1, 3, 5])},
        {"boxes": torch.tensor([[30.0, 5, 100, 80]]).double(), "labels": torch.tensor([2])},
    ]
    detector.eval()
    with torch.no_grad():
        features = detector.backbone(images.tensors)
        proposals, _ = detector.rpn(images, features)
        out = detect(detector, heads, images, features, proposals)
    detector.train()
    parameters = [p for p in [*detector.parameters(), *heads.parameters()] if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=0.002, momentum=0.9, weight_decay=1e-4)
    steps = []
    for step in range(3):
        features = detector.backbone(images.tensors)
        proposals, losses = detector.rpn(images, features, targets)
        losses.update(train(detector, heads, images, features, targets, proposals))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        steps.append({name: value.item() for name, value in losses.items()})
        if step == 0:
            gradients = lambda module: {n: p.grad.float() for n, p in module.named_parameters() if p.grad is not None}
            gradients = named(gradients(detector), gradients(heads))
        optimizer.step()
    for name, value in out.items():
        print(name, tuple(value.shape), value.float().std().item())
    print(*steps, sep="\n")
    OUT.mkdir(parents=True, exist_ok=True)
    # Of the layers below the heads one gradient tells whether all heads reach them.
    kept = {n: g for n, g in gradients.items() if n.startswith(("roi_head", "neck")) or n == "backbone.layer4.2.conv3.weight"}
    save_file({n: v.contiguous() for n, v in state.items()}, OUT / "model.safetensors")
    save_file({"pixels": pixels} | {n: v.contiguous() for n, v in out.items()}, OUT / "outputs.safetensors")
    save_file({n: g.contiguous() for n, g in kept.items()}, OUT / "gradients.safetensors")
    targets = [{k: v.tolist() for k, v in t.items()} for t in targets]
    (OUT / "training.json").write_text(json.dumps({"targets": targets, "losses": steps}))


main()
