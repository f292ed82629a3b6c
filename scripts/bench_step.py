"""Time the rival of `cargo run --release -p longtail-train --example bench_step` in PyTorch; scripts/bench_step.sh
runs both and prints the ratios.

Two cases, both forward + backward on the CPU with as many threads as cores:
  resnet50   ResNet-50, batch 2, 3x320x320, sum of the last feature map as loss
  demo-step  one training step of the demo's detector (ResNet-18 layout of width 16, FPN 64, batch 8 at the
             demo's image size, RoI batch and box head of the demo) built from torchvision's own detection classes,
             with random images and boxes, SGD included

Needs: pip install torch torchvision. Prints one JSON object of seconds (minimum and median of the repeats).
"""

import argparse
import json
import statistics
import time

import torch
from torch import nn
from torchvision.models import resnet50
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.resnet import BasicBlock
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool


def timed(step, repeats, warmup):
    for _ in range(warmup):
        step()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"min": min(seconds), "median": statistics.median(seconds)}


class SmallResNet(nn.Module):
    """ResNet-18 layout with `width` base channels and a stride-2 3x3 stem, features of all four stages."""

    def __init__(self, width, stem_pool):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.pool = nn.MaxPool2d(3, 2, 1) if stem_pool else nn.Identity()
        stages, inputs = [], width
        for index in range(4):
            outputs, stride = width * 2**index, 1 if index == 0 else 2
            down = None
            if stride != 1 or inputs != outputs:
                down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            stages.append(
                nn.Sequential(BasicBlock(inputs, outputs, stride, down), BasicBlock(outputs, outputs))
            )
            inputs = outputs
        self.stages = nn.ModuleList(stages)

    def forward(self, x):
        x = self.pool(self.stem(x))
        features = {}
        for index, stage in enumerate(self.stages):
            x = stage(x)
            features[str(index)] = x
        return features


class Backbone(nn.Module):
    def __init__(self, width, channels, stem_pool, lowest):
        super().__init__()
        self.body = SmallResNet(width, stem_pool)
        self.lowest = lowest
        inputs = [width * 2**i for i in range(lowest, 4)]
        self.fpn = FeaturePyramidNetwork(inputs, channels, LastLevelMaxPool())
        self.out_channels = channels

    def forward(self, x):
        features = self.body(x)
        return self.fpn({k: v for k, v in features.items() if int(k) >= self.lowest})


def demo_step(arguments):
    backbone = Backbone(arguments.width, arguments.channels, True, 0)
    levels = 5
    base = arguments.anchor_size
    model = FasterRCNN(
        backbone,
        min_size=arguments.image_size,
        max_size=arguments.image_size,
        rpn_anchor_generator=AnchorGenerator(
            tuple((base * 2**i,) for i in range(levels)), ((0.5, 1.0, 2.0),) * levels
        ),
        box_roi_pool=MultiScaleRoIAlign([str(i) for i in range(4)], 7, 2),
        box_batch_size_per_image=arguments.rois,
        rpn_batch_size_per_image=arguments.anchors,
        rpn_pre_nms_top_n_train=arguments.pre_nms,
        rpn_post_nms_top_n_train=arguments.post_nms,
        box_head=nn.Sequential(
            nn.Flatten(),
            nn.Linear(arguments.channels * 49, arguments.fc),
            nn.ReLU(),
            nn.Linear(arguments.fc, arguments.fc),
            nn.ReLU(),
        ),
        box_predictor=Predictor(arguments.fc, arguments.classes + 1),
    )
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    size = arguments.image_size
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, size, size, generator=generator) for _ in range(arguments.batch)]
    targets = []
    for _ in images:
        corner = torch.rand(6, 2, generator=generator) * size * 0.6
        extent = 16 + torch.rand(6, 2, generator=generator) * size * 0.3
        labels = torch.randint(1, arguments.classes + 1, (6,), generator=generator)
        targets.append({"boxes": torch.cat([corner, corner + extent], 1), "labels": labels})

    def step():
        loss = sum(model(images, targets).values())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 35.0)
        optimizer.step()

    return timed(step, arguments.repeats, 3)


class Predictor(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.classifier = nn.Linear(inputs, outputs)
        self.boxes = nn.Linear(inputs, outputs * 4)  # torchvision knows no class-agnostic boxes

    def forward(self, x):
        return self.classifier(x), self.boxes(x)


def resnet50_step(arguments):
    model = resnet50(weights=None)
    model.train()
    body = nn.Sequential(*list(model.children())[:-2])
    images = torch.rand(2, 3, 320, 320)

    def step():
        body.zero_grad()
        body(images).sum().backward()

    return timed(step, arguments.repeats, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--classes", type=int, default=40)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--fc", type=int, default=256)
    parser.add_argument("--rois", type=int, default=64)
    parser.add_argument("--anchors", type=int, default=64)
    parser.add_argument("--pre-nms", type=int, default=300)
    parser.add_argument("--post-nms", type=int, default=200)
    parser.add_argument("--anchor-size", type=int, default=16)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    print(
        json.dumps(
            {
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "resnet50": resnet50_step(arguments),
                "demo-step": demo_step(arguments),
            }
        )
    )


if __name__ == "__main__":
    main()
