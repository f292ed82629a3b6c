"""Golden vectors of a whole Faster R-CNN from torchvision, for crates/longtail-train/tests/golden_detector.rs.

    python scripts/golden/faster_rcnn.py      # writes crates/longtail-train/tests/golden

torchvision's own parts (blocks, FPN, RPN, RoI heads, matcher, losses) around a ResNet-50 of width 4, in float64, with
random weights. Every anchor and every RoI is sampled, so that no draw has to be shared. Made with torch 2.15 and
torchvision 0.29.
"""

import collections
import json
import pathlib

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.resnet import Bottleneck
from torchvision.ops import FrozenBatchNorm2d

OUT = pathlib.Path(__file__).parents[2] / "crates/longtail-train/tests/golden"
WIDTH, FPN, HIDDEN, CLASSES, SIZE = 4, 8, 16, 5, (96, 128)
EPSILON = 1e-5


class SmallResNet(nn.Module):
    """torchvision's ResNet-50 with `WIDTH` channels where it has 64."""

    def __init__(self):
        super().__init__()
        norm = lambda channels: FrozenBatchNorm2d(channels, eps=EPSILON)
        self.conv1 = nn.Conv2d(3, WIDTH, 7, 2, 3, bias=False)
        self.bn1 = norm(WIDTH)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = WIDTH
        for stage, blocks in enumerate((3, 4, 6, 3)):
            planes, stride = WIDTH << stage, 1 if stage == 0 else 2
            layers = []
            for block in range(blocks):
                down = None
                if block == 0:
                    down = nn.Sequential(nn.Conv2d(inputs, planes * 4, 1, stride, bias=False), norm(planes * 4))
                layers.append(Bottleneck(inputs, planes, stride if block == 0 else 1, down, norm_layer=norm))
                inputs = planes * 4
            setattr(self, f"layer{stage + 1}", nn.Sequential(*layers))


def model():
    body = SmallResNet()
    channels = [WIDTH * 4 << stage for stage in range(4)]
    layers = {f"layer{stage + 1}": str(stage) for stage in range(4)}
    backbone = BackboneWithFPN(body, layers, channels, FPN)
    detector = FasterRCNN(
        backbone, CLASSES + 1,
        rpn_pre_nms_top_n_train=100, rpn_post_nms_top_n_train=60, rpn_pre_nms_top_n_test=80, rpn_post_nms_top_n_test=40,
        rpn_batch_size_per_image=1_000_000, box_batch_size_per_image=4_000, box_detections_per_img=50,
    )
    detector.roi_heads.box_head.fc6 = nn.Linear(FPN * 49, HIDDEN)
    detector.roi_heads.box_head.fc7 = nn.Linear(HIDDEN, HIDDEN)
    detector.roi_heads.box_predictor.cls_score = nn.Linear(HIDDEN, CLASSES + 1)
    detector.roi_heads.box_predictor.bbox_pred = nn.Linear(HIDDEN, 4 * (CLASSES + 1))
    return detector


def fill(detector, generator):
    """Weights that spread the scores: the initial ones of torchvision would make ties of them."""
    normal = lambda shape, deviation: torch.randn(shape, generator=generator) * deviation
    for name, value in detector.state_dict().items():
        if "running_var" in name:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
        elif "running_mean" in name or (value.dim() == 1 and ".bn" not in name and "downsample" not in name):
            value.copy_(normal(value.shape, 0.1))
        elif value.dim() == 1:
            # Normalisation; the last of a block is small, so that features do not grow from block to block.
            scale = 0.3 if "bn3" in name else 1.0
            value.copy_(scale * (1 + normal(value.shape, 0.2)) if name.endswith("weight") else normal(value.shape, 0.1))
        else:
            inputs = value[0].numel()
            gain = {"fpn": 0.25, "cls_logits": 1.5, "rpn.head.bbox_pred": 0.3, "cls_score": 1.5, "box_predictor.bbox_pred": 0.7}
            scale = next((g for key, g in gain.items() if key in name), 2**0.5)
            value.copy_(normal(value.shape, scale * inputs**-0.5))


def freeze(detector):
    for name, parameter in detector.named_parameters():
        if name.startswith(("backbone.body.conv1", "backbone.body.layer1")):
            parameter.requires_grad_(False)


def main():
    generator = torch.Generator().manual_seed(11)
    detector = model()
    fill(detector, generator)
    state = {name: value.clone() for name, value in detector.state_dict().items()}
    # What is in the file, to the bit.
    detector = detector.double()
    detector.load_state_dict({name: value.double() for name, value in state.items()})
    freeze(detector)

    pixels = torch.randint(-20, 21, (2, 3, *SIZE), generator=generator).to(torch.int8)
    images = ImageList(pixels.double() / 10, [(96, 128), (90, 120)])
    targets = [
        {"boxes": torch.tensor([[10.0, 12, 60, 70], [70, 20, 120, 90], [5, 60, 40, 92]]).double(),
         "labels": torch.tensor([1, 3, 5])},
        {"boxes": torch.tensor([[30.0, 5, 100, 80]]).double(), "labels": torch.tensor([2])},
    ]

    out = {"pixels": pixels}
    detector.eval()
    with torch.no_grad():
        features = detector.backbone(images.tensors)
        for level, value in enumerate(features.values()):
            out[f"p{level + 2}"] = value.float()
        proposals, _ = detector.rpn(images, features)
        pooled = detector.roi_heads.box_roi_pool(features, proposals, images.image_sizes)
        hidden = detector.roi_heads.box_head(pooled)
        logits, deltas = detector.roi_heads.box_predictor(hidden)
        detections, _ = detector.roi_heads(features, proposals, images.image_sizes)
        for image in range(2):
            out[f"proposals.{image}"] = proposals[image].float()
            for key in ("boxes", "labels", "scores"):
                value = detections[image][key]
                out[f"{key}.{image}"] = value.float() if value.is_floating_point() else value.int()
        out["hidden"], out["logits"], out["deltas"] = hidden.float(), logits.float(), deltas.float()

    detector.train()
    optimizer = torch.optim.SGD(
        [p for p in detector.parameters() if p.requires_grad], lr=0.002, momentum=0.9, weight_decay=1e-4
    )
    steps = []
    for step in range(5):
        features = detector.backbone(images.tensors)
        proposals, rpn_losses = detector.rpn(images, features, targets)
        _, losses = detector.roi_heads(features, proposals, images.image_sizes, targets)
        losses.update(rpn_losses)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        steps.append({name: value.item() for name, value in losses.items()})
        if step == 0:
            gradients = {n: p.grad.float() for n, p in detector.named_parameters() if p.grad is not None}
        optimizer.step()

    for name, value in out.items():
        print(name, tuple(value.shape), value.float().std().item())
    print(*steps, sep="\n")
    OUT.mkdir(parents=True, exist_ok=True)
    save_file({n: v.contiguous() for n, v in state.items()}, OUT / "model.safetensors")
    save_file({n: v.contiguous() for n, v in out.items()}, OUT / "outputs.safetensors")
    save_file(gradients, OUT / "gradients.safetensors")
    after = {n: p.detach().float() for n, p in detector.named_parameters() if p.requires_grad}
    save_file(after, OUT / "after_5_steps.safetensors")
    targets = [{k: v.tolist() for k, v in t.items()} for t in targets]
    (OUT / "training.json").write_text(json.dumps({"targets": targets, "losses": steps}))


if __name__ == "__main__":
    main()
