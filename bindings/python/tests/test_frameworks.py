"""The callers' own code, where it is installed: torchmetrics, torchvision, ultralytics, transformers."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from typing import Any

import longtail
import longtail.eval
import numpy as np
import pytest

torch = pytest.importorskip("torch")
import longtail.torch as lt

pytestmark = pytest.mark.filterwarnings("ignore")


def images(seed: int = 0, count: int = 6) -> tuple[list[Any], list[Any]]:
    draw = torch.Generator().manual_seed(seed)
    predictions, targets = [], []
    for _ in range(count):
        n = int(torch.randint(0, 8, (1,), generator=draw))
        corner = torch.rand(n, 2, generator=draw) * 100
        boxes = torch.cat([corner, corner + torch.rand(n, 2, generator=draw) * 120 + 4], dim=1)
        labels = torch.randint(0, 4, (n,), generator=draw)
        targets.append(
            {"boxes": boxes, "labels": labels, "iscrowd": (torch.rand(n, generator=draw) < 0.1).int()}
        )
        moved = boxes + torch.randn(n, 4, generator=draw)
        predictions.append({"boxes": moved, "labels": labels, "scores": torch.rand(n, generator=draw)})
    return predictions, targets


SETTINGS: list[dict[str, Any]] = [
    {},
    {"class_metrics": True},
    {"average": "micro", "class_metrics": True},
    {"iou_thresholds": [0.3, 0.5], "max_detection_thresholds": [1, 2, 100]},
    {"extended_summary": True},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
class TestTorchmetrics:
    def theirs(self, settings: dict[str, Any]) -> Any:
        detection = pytest.importorskip("torchmetrics.detection")
        metric = detection.MeanAveragePrecision(**settings)
        for seed in range(3):
            metric.update(*images(seed))
        return metric.compute()

    def equal(self, ours: Any, theirs: Any) -> None:
        assert set(ours) == set(theirs)
        for key, value in theirs.items():
            if isinstance(value, dict):
                assert set(ours[key]) == set(value)
                assert all(
                    torch.equal(torch.as_tensor(ours[key][k]).reshape(-1), torch.as_tensor(v).reshape(-1))
                    for k, v in value.items()
                )
            else:
                torch.testing.assert_close(
                    ours[key].squeeze(), value.squeeze(), rtol=0, atol=0, check_dtype=False, msg=key
                )

    def test_under_the_patch_it_says_the_same(self, settings: dict[str, Any]) -> None:
        expected = self.theirs(settings)
        with longtail.eval.patched(quiet=True):
            self.equal(self.theirs(settings), expected)

    def test_our_metric_has_its_keys_and_numbers(self, settings: dict[str, Any]) -> None:
        expected = self.theirs(settings)
        metric = lt.MeanAveragePrecision(**settings)
        for seed in range(3):
            metric.update(*images(seed))
        self.equal(metric.compute(), expected)
        assert metric.compute()["map"] == expected["map"]


@pytest.mark.parametrize("box_format", ["xyxy", "xywh", "cxcywh"])
def test_box_formats(box_format: Any) -> None:
    detection, ops = pytest.importorskip("torchmetrics.detection"), pytest.importorskip("torchvision.ops")
    found = []
    for make in (detection.MeanAveragePrecision, lt.MeanAveragePrecision):
        metric = make(box_format=box_format)
        predictions, targets = images(4)
        for entry in (*predictions, *targets):
            entry["boxes"] = ops.box_convert(entry["boxes"], "xyxy", box_format)
        metric.update(predictions, targets)
        found.append(metric.compute()["map"])
    assert found[0] == found[1]


def test_metric_misuse_is_named() -> None:
    with pytest.raises(NotImplementedError, match="torchmetrics"):
        lt.MeanAveragePrecision(iou_type="segm")
    with pytest.raises(ValueError, match="box_format"):
        lt.MeanAveragePrecision(box_format="yxyx")  # type: ignore[arg-type]
    with pytest.raises(longtail.DataError, match="no 'scores'"):
        lt.MeanAveragePrecision().update([{"boxes": [], "labels": []}], [{"boxes": [], "labels": []}])
    assert lt.MeanAveragePrecision().compute()["map"] == -1


class TestTorchvision:
    def detector(self) -> Any:
        detection = pytest.importorskip("torchvision.models.detection")
        torch.manual_seed(0)
        model = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, num_classes=5, min_size=96, max_size=96, box_score_thresh=0.0
        )
        return model

    def batch(self) -> tuple[Any, Any]:
        draw = torch.Generator().manual_seed(0)
        pictures = [torch.rand(3, 96, 96, generator=draw) for _ in range(2)]
        target = [
            {"boxes": torch.tensor([[8.0, 8, 60, 60], [30, 30, 90, 90]]), "labels": torch.tensor([1, 3])}
            for _ in range(2)
        ]
        return pictures, target

    def test_the_loss_is_used_and_undone(self, capsys: pytest.CaptureFixture[str]) -> None:
        import longtail.torchvision as adapter

        model, loss = self.detector(), lt.ACSLLoss(4, background_rule="adaptive")
        keys = set(model.state_dict())
        seen: list[Any] = []
        loss.register_forward_hook(lambda module, inputs, output: seen.append((inputs, output)))
        torch.manual_seed(1)
        stock = model(*self.batch())
        undo = adapter.use_loss(model, loss)
        line = capsys.readouterr().out
        assert "cross_entropy -> ACSLLoss" in line and line.count("\n") == 1
        torch.manual_seed(1)
        ours = model(*self.batch())
        (logits, labels), value = seen[0]
        assert ours["loss_classifier"] is value and torch.equal(ours["loss_box_reg"], stock["loss_box_reg"])
        # The reference formula, and its gradient.
        p = logits.detach().sigmoid()
        own = torch.nn.functional.one_hot(labels, 5).bool()
        kept = torch.where(own, -p.log(), torch.where(p >= 0.7, -(1 - p).log(), 0.0))
        torch.testing.assert_close(value, kept.sum() / len(labels), rtol=1e-4, atol=1e-4)
        (gradient,) = torch.autograd.grad(value, logits, retain_graph=True)
        expected = torch.where(own, p - 1, torch.where(p >= 0.7, p, 0.0)) / len(labels)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
        assert set(model.state_dict()) == keys
        with pytest.raises(RuntimeError, match="already"):
            adapter.use_loss(model, loss)
        model.eval()
        with torch.no_grad():
            scored = model(self.batch()[0])
        assert all(0 <= s <= 1 for found in scored for s in found["scores"].tolist())
        undo()
        model.train()
        torch.manual_seed(1)
        assert torch.equal(model(*self.batch())["loss_classifier"], stock["loss_classifier"])

    def test_a_short_training_lowers_the_loss(self) -> None:
        import longtail.torchvision as adapter

        model, loss = self.detector(), lt.ACSLLoss(4)
        adapter.use_loss(model, loss)
        head = [p for p in model.roi_heads.box_predictor.parameters()]
        optimizer, values = torch.optim.SGD(head, 0.02, momentum=0.9), []
        for step in range(12):
            torch.manual_seed(step)
            found = model(*self.batch())
            optimizer.zero_grad()
            found["loss_classifier"].backward()
            optimizer.step()
            values.append(found["loss_classifier"].item())
        assert np.mean(values[-3:]) < 0.7 * values[0]
        self.detector().load_state_dict(model.state_dict())

    def test_misuse_is_named(self) -> None:
        import longtail.torchvision as adapter

        model = self.detector()
        with pytest.raises(ValueError, match="5 outputs"):
            adapter.use_loss(model, lt.ACSLLoss(7))
        with pytest.raises(ValueError, match="background first"):
            adapter.use_loss(model, lt.ACSLLoss(4, background="last"))
        with pytest.raises(TypeError, match="roi_heads"):
            adapter.use_loss(torch.nn.Linear(2, 2), lt.ACSLLoss(4))


class TestUltralytics:
    def model(self, name: str = "yolov8n.yaml") -> Any:
        tasks, cfg = pytest.importorskip("ultralytics.nn.tasks"), pytest.importorskip("ultralytics.cfg")
        torch.manual_seed(0)
        model = tasks.DetectionModel(name, nc=4, verbose=False)
        model.args = cfg.get_cfg(overrides={"epochs": 3})
        return model

    def batch(self) -> dict[str, Any]:
        draw = torch.Generator().manual_seed(0)
        return {
            "img": torch.rand(2, 3, 64, 64, generator=draw),
            "batch_idx": torch.tensor([0.0, 0.0, 1.0]),
            "cls": torch.tensor([[0.0], [2.0], [3.0]]),
            "bboxes": torch.tensor([[0.4, 0.4, 0.5, 0.5], [0.6, 0.6, 0.3, 0.4], [0.5, 0.5, 0.6, 0.6]]),
        }

    @pytest.mark.parametrize(("name", "count"), [("yolov8n.yaml", 1), ("yolo26n.yaml", 2)])
    def test_the_class_term_is_replaced(
        self, name: str, count: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        import longtail.ultralytics as adapter

        model = self.model(name)
        assert adapter.apply_loss(model, "acsl") == count
        out = capsys.readouterr().out
        assert out.count("BCEWithLogitsLoss -> ACSLLoss") == count
        with pytest.raises(RuntimeError, match="already"):
            adapter.apply_loss(model)
        model.train()
        value, _ = model(self.batch())
        value.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)

    def test_the_term_is_the_reference_formula(self) -> None:
        import longtail.ultralytics as adapter

        model, stock = self.model(), torch.nn.BCEWithLogitsLoss(reduction="none")
        adapter.apply_loss(model, "acsl", threshold=0.6)
        draw = torch.Generator().manual_seed(0)
        logits = torch.randn(2, 9, 4, generator=draw)
        target = torch.rand(2, 9, 4, generator=draw) * (torch.rand(2, 9, 4, generator=draw) < 0.2)
        positive, row = target > 0, (target > 0).any(-1, keepdim=True)
        kept = positive | ~row | (logits.sigmoid() >= 0.6)
        torch.testing.assert_close(model.criterion.bce(logits, target), stock(logits, target) * kept)

    def test_the_trainer_trains_and_its_checkpoint_is_plain(self, tmp_path: Path) -> None:
        ultralytics = pytest.importorskip("ultralytics")
        import longtail.ultralytics as adapter

        _yolo_set(tmp_path / "set")
        trainer = adapter.LongTailTrainer
        assert trainer is adapter.LongTailTrainer and trainer.__module__ == "longtail.ultralytics"
        yolo = ultralytics.YOLO("yolov8n.yaml")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            yolo.train(
                data=str(tmp_path / "set" / "data.yaml"),
                trainer=trainer,
                epochs=2,
                imgsz=64,
                batch=4,
                workers=0,
                device="cpu",
                project=str(tmp_path),
                name="run",
                plots=False,
                verbose=False,
                amp=False,
                val=False,
                optimizer="SGD",
            )
        assert "BCEWithLogitsLoss -> ACSLLoss" in out.getvalue()
        checkpoint = next(tmp_path.rglob("last.pt"))
        script = (
            "import sys; sys.modules['longtail'] = None; import torch; "
            f"c = torch.load({str(checkpoint)!r}, weights_only=False, map_location='cpu'); print(type(c['ema'] or c['model']).__name__)"
        )
        import subprocess

        found = subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout
        assert found.split()[-1] == "DetectionModel"

    def test_misuse_is_named(self) -> None:
        import longtail.ultralytics as adapter

        with pytest.raises(ValueError, match="element-wise"):
            adapter.apply_loss(self.model(), lt.ACSLLoss(4))
        with pytest.raises(ValueError, match="4 classes and the loss 7"):
            adapter.apply_loss(self.model(), lt.ACSLLoss(7, background="none", reduction="none"))

        class Other:
            criterion = object()

        with pytest.raises(RuntimeError, match="no `bce`"):
            adapter.apply_loss(Other())


def _yolo_set(folder: Path) -> None:
    Image = pytest.importorskip("PIL.Image")
    draw = np.random.default_rng(0)
    for part in ("train", "val"):
        (folder / "images" / part).mkdir(parents=True)
        (folder / "labels" / part).mkdir(parents=True)
        for n in range(8):
            Image.fromarray(draw.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(
                folder / "images" / part / f"{n}.png"
            )
            (folder / "labels" / part / f"{n}.txt").write_text(f"{n % 3} 0.5 0.5 0.4 0.4\n")
    (folder / "data.yaml").write_text(
        f"path: {folder}\ntrain: images/train\nval: images/val\nnames: [a, b, c]\n"
    )


class TestTransformers:
    def model(self) -> Any:
        transformers = pytest.importorskip("transformers")
        pytest.importorskip("scipy")
        torch.manual_seed(0)
        backbone = {
            "model_type": "rt_detr_resnet",
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 16, 16],
            "depths": [1, 1, 1, 1],
            "layer_type": "basic",
            "out_features": ["stage2", "stage3", "stage4"],
        }
        config = transformers.RTDetrConfig(
            backbone_config=backbone,
            num_labels=4,
            d_model=32,
            encoder_hidden_dim=32,
            encoder_in_channels=[16, 16, 16],
            decoder_in_channels=[32, 32, 32],
            encoder_ffn_dim=32,
            decoder_ffn_dim=32,
            num_queries=12,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            num_denoising=0,
            use_pretrained_backbone=False,
            backbone=None,
        )
        return transformers.RTDetrForObjectDetection(config)

    def labels(self) -> list[dict[str, Any]]:
        return [
            {
                "class_labels": torch.tensor([1, 3]),
                "boxes": torch.tensor([[0.4, 0.4, 0.3, 0.3], [0.6, 0.5, 0.2, 0.4]]),
            }
        ] * 2

    def test_the_class_term_is_weighed(self, capsys: pytest.CaptureFixture[str]) -> None:
        import longtail.transformers as adapter

        model = self.model()
        pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        stock = model(pictures, labels=self.labels())
        everything = lt.ACSLLoss(4, background="none", threshold=0.0, background_rule="dense")
        model.loss_function = adapter.loss(model, everything)
        assert "RTDetrLoss.loss_labels_vfl" in capsys.readouterr().out
        same = model(pictures, labels=self.labels())
        # With ξ = 0 every negative is kept: the framework's own numbers.
        assert set(same.loss_dict) == set(stock.loss_dict)
        torch.testing.assert_close(same.loss, stock.loss)
        with pytest.raises(RuntimeError, match="already"):
            adapter.loss(model, everything)

        fresh = self.model()
        nothing = lt.ACSLLoss(4, background="none", threshold=1.0, background_rule="adaptive")
        fresh.loss_function = adapter.loss(fresh, nothing)
        fewer = fresh(pictures, labels=self.labels())
        assert fewer.loss_dict["loss_vfl"] < stock.loss_dict["loss_vfl"]
        torch.testing.assert_close(fewer.loss_dict["loss_bbox"], stock.loss_dict["loss_bbox"])
        fewer.loss.backward()
        assert set(fresh.state_dict()) == set(self.model().state_dict())

    def test_a_short_training_lowers_the_loss(self) -> None:
        import longtail.transformers as adapter

        model = self.model()
        model.loss_function = adapter.loss(model, lt.ACSLLoss(4, background="none", background_rule="dense"))
        pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        optimizer, values = torch.optim.AdamW(model.parameters(), 2e-3), []
        for _ in range(15):
            found = model(pictures, labels=self.labels())
            optimizer.zero_grad()
            found.loss.backward()
            optimizer.step()
            values.append(found.loss.item())
        assert values[-1] < 0.9 * values[0]

    def test_misuse_is_named(self) -> None:
        import longtail.transformers as adapter

        with pytest.raises(ValueError, match="background='none'"):
            adapter.loss(self.model(), lt.ACSLLoss(4))
        with pytest.raises(ValueError, match="4 classes and the loss 7"):
            adapter.loss(self.model(), lt.ACSLLoss(7, background="none"))
