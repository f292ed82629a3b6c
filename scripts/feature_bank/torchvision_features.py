"""RoI features of a torchvision Faster R-CNN for `longtail features import`. Needs torch, torchvision, numpy."""

import numpy as np
import torch


def hooked(model, function, batches):
    """Runs `function` over batches; yields what the box head gave for each, and what was captured on the way."""
    seen = {}
    hook = model.roi_heads.box_head.register_forward_hook(lambda _, __, output: seen.update(features=output))
    with torch.no_grad():
        for batch in batches:
            function(seen, *batch)
            yield seen["features"].float().cpu().numpy(), seen
    hook.remove()


def training_arrays(model, batches):
    """`batches` of (images, targets, image ids): the RoIs that a training step samples, with their labels."""
    heads, select = model.roi_heads, model.roi_heads.select_training_samples
    rows = {"features": [], "labels": [], "image_ids": [], "boxes": []}

    def step(seen, images, targets, image_ids):
        def capture(proposals, targets):
            seen["sampled"] = select(proposals, targets)
            return seen["sampled"]

        heads.select_training_samples = capture
        model.train()  # with batch norm frozen, as torchvision's detectors have it
        model(images, targets)
        seen["ids"] = image_ids

    for features, seen in hooked(model, step, batches):
        proposals, _, labels, _ = seen["sampled"]
        rows["features"].append(features)
        rows["labels"].append(torch.cat(labels).numpy())
        rows["boxes"].append(torch.cat(proposals).numpy())
        rows["image_ids"].append(np.repeat(seen["ids"], [len(p) for p in proposals]))
    heads.select_training_samples = select
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def proposal_arrays(model, batches):
    """`batches` of (images, image ids): test-time proposals with the boxes of every class, in pixels of the images."""
    heads, after = model.roi_heads, model.roi_heads.postprocess_detections
    rows = {"features": [], "regressed": [], "boxes": [], "image_ids": []}

    def step(seen, images, image_ids):
        def capture(logits, deltas, proposals, shapes):
            boxes = heads.box_coder.decode(deltas, proposals).split([len(p) for p in proposals])
            clipped = [clip(b, s)[:, 1:] for b, s in zip(boxes, shapes)]  # column 0 is background
            scale = [torch.tensor([i.shape[2] / s[1], i.shape[1] / s[0]] * 2) for i, s in zip(images, shapes)]
            seen.update(regressed=[b * s for b, s in zip(clipped, scale)])
            seen.update(proposals=[p * s for p, s in zip(proposals, scale)], ids=image_ids)
            return after(logits, deltas, proposals, shapes)

        heads.postprocess_detections = capture
        model.eval()
        model(images)

    for features, seen in hooked(model, step, batches):
        rows["features"].append(features)
        rows["regressed"].append(torch.cat(seen["regressed"]).numpy())
        rows["boxes"].append(torch.cat(seen["proposals"]).numpy())
        rows["image_ids"].append(np.repeat(seen["ids"], [len(p) for p in seen["proposals"]]))
    heads.postprocess_detections = after
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def clip(boxes, shape):
    height, width = shape
    return torch.stack([boxes[..., i].clamp(0, (width, height)[i % 2]) for i in range(4)], dim=-1)


def classifier_arrays(model):
    layer = model.roi_heads.box_predictor.cls_score
    return {"classifier.weight": layer.weight.detach().numpy(), "classifier.bias": layer.bias.detach().numpy()}
