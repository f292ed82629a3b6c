"""Random data sets with everything that bites: ties, crowds, ignored boxes, ids with gaps, areas at the ends
of ranges."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

Record = dict[str, Any]


def make_case(
    seed: int, *, images: int = 12, classes: int = 5, federated: bool = False
) -> tuple[Record, list[Record]]:
    """A ground truth and detections, which are the ground truth moved a little, and others."""
    draw = np.random.default_rng(seed)
    image_ids = draw.permutation(np.arange(3, 3 + 2 * images, 2)).tolist()
    class_ids = draw.permutation(np.arange(1, 1 + 3 * classes, 3)).tolist()
    records: list[Record] = [
        {"id": i, "width": 200, "height": 160, "file_name": f"{i}.jpg"} for i in image_ids
    ]
    annotations: list[Record] = []
    detections: list[Record] = []
    for image in records:
        for _ in range(int(draw.integers(0, 9))):
            x, y = draw.integers(0, 100, 2).tolist()
            # Small, medium and large boxes, of which some have an area that is the end of a range.
            side = int(draw.choice([8, 32, 40, 96, 120]))
            bbox = [float(x), float(y), float(side), float(side)]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": int(draw.choice(class_ids)),
                    "bbox": bbox,
                    "area": float(side * side) if draw.random() < 0.7 else float(side * side) * 0.6,
                    "iscrowd": int(draw.random() < 0.1 and not federated),
                }
            )
            if federated and draw.random() < 0.1:
                annotations[-1]["ignore"] = 1
            for _ in range(int(draw.integers(0, 4))):
                moved = (np.array(bbox) + draw.integers(-6, 7, 4)).clip(0)
                right = draw.random() < 0.8
                detections.append(
                    {
                        "image_id": image["id"],
                        "category_id": annotations[-1]["category_id"]
                        if right
                        else int(draw.choice(class_ids)),
                        "bbox": moved.tolist(),
                        # Few values, so that scores tie.
                        "score": float(draw.choice([0.1, 0.3, 0.5, 0.5, 0.7, 0.9])),
                    }
                )
        if federated:
            image["neg_category_ids"] = draw.choice(class_ids, 2, replace=False).tolist()
            image["not_exhaustive_category_ids"] = draw.choice(class_ids, 1).tolist()
    categories: list[Record] = [{"id": c, "name": f"class {c}", "supercategory": "thing"} for c in class_ids]
    if federated:
        for n, category in enumerate(categories):
            category["frequency"] = "rcf"[n % 3]
    order = draw.permutation(len(detections))
    detections = [detections[n] for n in order]
    return {"info": {}, "images": records, "annotations": annotations, "categories": categories}, detections


def add_masks(dataset: Record, detections: list[Record]) -> None:
    """Polygons of the boxes, for masks."""
    for entry in [*dataset["annotations"], *detections]:
        x, y, w, h = entry["bbox"]
        w, h = max(w, 1), max(h, 1)
        entry["segmentation"] = [[x, y, x + w, y, x + w, y + h, x + w / 2, y + h / 2, x, y + h]]


def add_keypoints(dataset: Record, detections: list[Record], seed: int) -> None:
    """17 keypoints in each box, some of them not visible."""
    draw = np.random.default_rng(seed)
    for entry in [*dataset["annotations"], *detections]:
        x, y, w, h = entry["bbox"]
        points = np.stack([x + draw.random(17) * w, y + draw.random(17) * h, draw.integers(0, 3, 17)], axis=1)
        if draw.random() < 0.2:
            points[:, 2] = 0
        entry["keypoints"] = points.reshape(-1).tolist()
        entry["num_keypoints"] = int((points[:, 2] > 0).sum())


@pytest.fixture(params=range(6))
def coco_case(request: pytest.FixtureRequest) -> tuple[Record, list[Record]]:
    return make_case(request.param)


@pytest.fixture(params=range(6))
def lvis_case(request: pytest.FixtureRequest) -> tuple[Record, list[Record]]:
    return make_case(100 + request.param, federated=True)


@pytest.fixture
def case() -> tuple[Record, list[Record]]:
    return make_case(7)


def fresh(case: tuple[Record, list[Record]]) -> tuple[Record, list[Record]]:
    """A copy: the original libraries write into what they are given."""
    return copy.deepcopy(case)
