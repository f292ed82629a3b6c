"""A trained detector's classifier trained again: torchvision's, and any linear layer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import longtail
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import longtail.torch as lt

pytestmark = pytest.mark.filterwarnings("ignore")


def pictures(count: int, seed: int) -> list[tuple[Any, Any]]:
    """Batches of coloured rectangles on noise."""
    draw = np.random.default_rng(seed)
    batches = []
    for first in range(0, count, 2):
        images, targets = [], []
        for index in range(first, first + 2):
            pixels = draw.uniform(0, 0.3, (3, 96, 96)).astype(np.float32)
            boxes, labels = [], []
            for _ in range(int(draw.integers(1, 3))):
                x, y = draw.integers(0, 50, 2).tolist()
                w, h = draw.integers(24, 44, 2).tolist()
                label = int(draw.choice(3, p=[0.7, 0.2, 0.1]))
                pixels[label, y : y + h, x : x + w] += 0.6
                boxes.append([x, y, x + w, y + h])
                labels.append(label + 1)
            images.append(torch.from_numpy(pixels))
            boxed = torch.tensor(boxes, dtype=torch.float32)
            targets.append({"boxes": boxed, "labels": torch.tensor(labels), "image_id": index})
        batches.append((images, targets))
    return batches


def detector() -> Any:
    detection = pytest.importorskip("torchvision.models.detection")
    torch.manual_seed(0)
    model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=4, min_size=96, max_size=96, box_score_thresh=0.0
    )
    # As after a training: without this nothing below the classifier says anything.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.no_grad():
        for images, targets in pictures(4, 9):
            model(images, targets)
    return model.eval()


class TestTorchvision:
    @pytest.mark.parametrize("loss", ["acsl", "seesaw", "softmax-cross-entropy"])
    def test_there_and_back(self, loss: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        model, train, validation = detector(), pictures(8, 0), pictures(4, 1)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        drawn = torch.random.get_rng_state()
        result = longtail.repair(
            model, train, loss=loss, validation=validation, epochs=2, bank=tmp_path / "bank"
        )
        assert torch.equal(torch.random.get_rng_state(), drawn) and not model.training
        out = capsys.readouterr().out
        assert f"roi_heads.box_predictor.cls_score: trained again with {type(result.loss).__name__}" in out
        after = model.state_dict()
        moved = {
            name
            for name in before
            if after[name].shape != before[name].shape or not torch.equal(after[name], before[name])
        }
        assert moved == {f"roi_heads.box_predictor.cls_score.{part}" for part in ("weight", "bias")}
        layer = model.roi_heads.box_predictor.cls_score
        np.testing.assert_array_equal(layer.weight.detach(), result.head.weight)
        # The detector's scores are the head's: of the features of its own proposals.
        seen: list[Any] = []
        with torch.no_grad():
            handle = layer.register_forward_hook(
                lambda module, inputs, output: seen.append((inputs[0], output))
            )
            found = model(validation[0][0])
            handle.remove()
        scores = result.head.scores(seen[0][0].numpy())
        np.testing.assert_allclose(result.loss.scores(seen[0][1]).numpy(), scores, atol=1e-5)
        best = max(float(f["scores"].max()) for f in found if len(f["scores"]))
        assert best <= scores.max() + 1e-5
        assert result.before is not None and result.after is not None
        assert "before" in str(result) and "<table>" in result._repr_html_()
        bank = longtail.Bank.open(tmp_path / "bank")
        counted = sum(len(t["labels"]) for _, targets in train for t in targets)
        assert sum(c["train_instances"] for c in bank.header["classes"]) == counted
        assert bank.num_images == 8

    def test_it_is_the_same_again(self) -> None:
        heads = [longtail.repair(detector(), pictures(4, 0), epochs=1).head for _ in range(2)]
        np.testing.assert_array_equal(heads[0].weight, heads[1].weight)

    def test_misuse_is_named(self) -> None:
        from longtail.torchvision import use_loss

        with pytest.raises(TypeError, match="classifier"):
            longtail.repair(torch.nn.Linear(2, 2), [])
        model = detector()
        with pytest.raises(longtail.DataError, match="no batch"):
            longtail.repair(model, [])
        with pytest.raises(TypeError, match="give rows too"):
            longtail.repair(model, [], classifier="roi_heads.box_predictor.cls_score")
        use_loss(model, lt.ACSLLoss(3))
        with pytest.raises(RuntimeError, match="already"):
            longtail.repair(model, [])


class Plain(torch.nn.Module):
    def __init__(self, outputs: int, *, conv: bool = False) -> None:
        super().__init__()
        self.body = torch.nn.Identity()
        self.dropout = torch.nn.Dropout(0.5)
        self.head = torch.nn.Module()
        self.head.fc = torch.nn.Conv2d(4, outputs, 1) if conv else torch.nn.Linear(4, outputs)

    def forward(self, x: Any) -> Any:
        return self.head.fc(self.dropout(self.body(x)))


def run(model: Any, batch: Any) -> Any:
    x, labels = batch
    model(x)
    return labels


class TestAnyLayer:
    def batches(self, background: int) -> list[Any]:
        draw = torch.Generator().manual_seed(0)
        labels = torch.randint(0, 4, (10, 16), generator=draw)
        x = 4 * torch.eye(4)[labels] + torch.randn(10, 16, 4, generator=draw)
        classes = {0: labels, 3: torch.where(labels == 0, 3, labels - 1)}[background]
        return list(zip(x, classes, strict=True))

    @pytest.mark.parametrize("background", ["first", "last", "none"])
    def test_it_learns(self, background: Any) -> None:
        torch.manual_seed(0)
        model = Plain(3 if background == "none" else 4)
        batches = self.batches(0 if background == "first" else 3)
        result = longtail.repair(
            model,
            batches,
            classifier="head.fc",
            rows=run,
            background=background,
            epochs=60,
            learning_rate=0.5,
        )
        assert model.training
        scores = result.loss.scores(
            model.eval()(torch.stack([x for x, _ in batches]).reshape(-1, 4)).detach()
        )
        labels = torch.stack([y for _, y in batches]).reshape(-1) - int(background == "first")
        foreground = (labels >= 0) & (labels < 3)
        assert (scores.argmax(1) == labels)[foreground].float().mean() > 0.9
        assert result.before is None and "give validation" in str(result)

    def test_a_convolution_with_a_budget_of_background(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        model = Plain(3, conv=True)
        # One image of 4 × 4 positions a batch.
        maps = [(x.T.reshape(1, 4, 4, 4), y) for x, y in self.batches(3)]
        result = longtail.repair(
            model,
            maps,
            classifier="head.fc",
            rows=run,
            background="none",
            background_budget=2,
            epochs=60,
            learning_rate=0.5,
            bank=tmp_path / "bank",
        )
        _, labels, ids = longtail.Bank.open(tmp_path / "bank").rows()
        assert max(np.bincount(ids[labels == 0])) <= 2
        assert (labels > 0).sum() == sum(int((y < 3).sum()) for _, y in maps)
        assert result.head.weight.shape == (3, 4) and model.head.fc.weight.shape == (3, 4, 1, 1)
        scores = torch.cat(
            [result.loss.scores(model.eval()(x).permute(0, 2, 3, 1).reshape(-1, 3).detach()) for x, _ in maps]
        )
        labels_there = torch.cat([y for _, y in maps])
        found = (scores.argmax(1) == labels_there)[labels_there < 3]
        assert found.float().mean() > 0.85

    def test_misuse_is_named(self) -> None:
        model = Plain(4)
        with pytest.raises(TypeError, match=r"expected nn\.Linear"):
            longtail.repair(model, [], classifier="body", rows=run)
        with pytest.raises(longtail.DataError, match="saw 16 rows, and there are 3 labels"):
            longtail.repair(
                model,
                self.batches(0),
                classifier="head.fc",
                rows=lambda m, b: run(m, b)[:3],
            )
        with pytest.raises(longtail.DataError, match="no row is foreground"):
            longtail.repair(model, self.batches(0), classifier="head.fc", rows=lambda m, b: run(m, b) * 0)
        with pytest.raises(longtail.DataError, match="was not called"):
            longtail.repair(model, self.batches(0), classifier="head.fc", rows=lambda m, b: b[1])
        with pytest.raises(TypeError, match="size"):
            model.head.fc = torch.nn.Conv2d(4, 4, 3)
            longtail.repair(model, [], classifier="head.fc", rows=run)
