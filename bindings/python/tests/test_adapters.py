"""RF-DETR by its own criterion where it is installed; detectron2 and mmdetection by a replay of their calls, since
neither can be installed from the package index."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

torch = pytest.importorskip("torch")
import longtail.torch as lt

pytestmark = pytest.mark.filterwarnings("ignore")


class OutputLayers(torch.nn.Module):
    """The calls of detectron2's ``FastRCNNOutputLayers`` that concern classes, in its order."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.num_classes, self.use_sigmoid_ce = classes, False
        self.cls_score = torch.nn.Linear(8, classes + 1)

    def losses(self, predictions: Any, proposals: Any) -> Any:
        scores, _ = predictions
        classes = torch.cat([p for p in proposals])
        if self.use_sigmoid_ce:
            return {"loss_cls": self.sigmoid_cross_entropy_loss(scores, classes)}
        return {"loss_cls": torch.nn.functional.cross_entropy(scores, classes)}

    def predict_probs(self, predictions: Any, proposals: Any) -> Any:
        probs = torch.softmax(predictions[0], dim=-1)
        return probs.split([len(p) for p in proposals], dim=0)

    def inference(self, predictions: Any, proposals: Any) -> Any:
        # As fast_rcnn_inference_single_image: the column of background is dropped.
        return [scores[:, :-1] for scores in self.predict_probs(predictions, proposals)]


class Detector(torch.nn.Module):
    def __init__(self, predictors: Any) -> None:
        super().__init__()
        self.roi_heads = torch.nn.Module()
        self.roi_heads.box_predictor = predictors


class TestDetectron2Contract:
    def test_loss_and_scores(self, capsys: pytest.CaptureFixture[str]) -> None:
        import longtail.detectron2 as adapter

        model = Detector(OutputLayers(4))
        stock, loss = model.roi_heads.box_predictor, lt.ACSLLoss(4, background="last")
        undo = adapter.use_loss(model, loss)
        assert "box_predictor: class loss and scores -> ACSLLoss" in capsys.readouterr().out
        proposals = [torch.tensor([0, 4, 3]), torch.tensor([4, 1])]
        logits = stock.cls_score(torch.randn(5, 8))
        found = stock.losses((logits, None), proposals)["loss_cls"]
        expected = lt.ACSLLoss(4, background="last")(logits, torch.cat(proposals))
        torch.testing.assert_close(found, expected)
        scores = stock.inference((logits, None), proposals)
        assert [len(s) for s in scores] == [3, 2]
        torch.testing.assert_close(torch.cat(scores), logits.sigmoid()[:, :4])
        with pytest.raises(RuntimeError, match="already"):
            adapter.use_loss(model, loss)
        undo()
        torch.testing.assert_close(
            stock.losses((logits, None), proposals)["loss_cls"],
            torch.nn.functional.cross_entropy(logits, torch.cat(proposals)),
        )

    def test_all_heads_of_a_cascade(self, capsys: pytest.CaptureFixture[str]) -> None:
        import longtail.detectron2 as adapter

        model = Detector(torch.nn.ModuleList([OutputLayers(4) for _ in range(3)]))
        adapter.use_loss(model, lt.ACSLLoss(4, background="last"))
        assert capsys.readouterr().out.count("box_predictor[") == 3
        empty = model.roi_heads.box_predictor[2].losses(
            (torch.zeros(0, 5, requires_grad=True), None), [torch.zeros(0, dtype=torch.int64)]
        )
        empty["loss_cls"].backward()

    def test_misuse_is_named(self) -> None:
        import longtail.detectron2 as adapter

        with pytest.raises(TypeError, match=r"roi_heads\.box_predictor"):
            adapter.use_loss(torch.nn.Linear(2, 2), lt.ACSLLoss(4, background="last"))
        with pytest.raises(ValueError, match="background last"):
            adapter.use_loss(Detector(OutputLayers(4)), lt.ACSLLoss(4))
        with pytest.raises(ValueError, match="5 outputs and the loss 8"):
            adapter.use_loss(Detector(OutputLayers(4)), lt.ACSLLoss(7, background="last"))
        with pytest.raises(TypeError, match="FastRCNNOutputLayers"):
            adapter.use_loss(Detector(torch.nn.Linear(2, 2)), lt.ACSLLoss(4, background="last"))


class Registry:
    """``mmengine.Registry``, as far as it is used."""

    def __init__(self) -> None:
        self.modules: dict[str, Any] = {}

    def register_module(self, *, name: str, module: Any, force: bool) -> None:
        self.modules[name] = module

    def build(self, config: dict[str, Any]) -> Any:
        return self.modules[config.pop("type")](**config)


class TestMmdetectionContract:
    """What ``BBoxHead`` of mmdetection 3.3.0 asks of ``loss_cls``."""

    def build(self, kind: str = "longtail.ACSLLoss", **settings: Any) -> Any:
        import longtail.mmdet as adapter

        registry = Registry()
        assert len(adapter.register(registry)) == 14
        return registry.build({"type": kind, "num_classes": 4, **settings})

    def test_the_head_asks_for_its_width(self) -> None:
        assert self.build().get_cls_channels(4) == 5
        assert self.build("longtail.SeesawLoss").get_cls_channels(4) == 6
        with pytest.raises(ValueError, match="7 classes"):
            self.build().get_cls_channels(7)

    def test_loss_and_accuracy(self) -> None:
        loss = self.build(use_sigmoid=True, loss_weight=2.0)
        assert loss.custom_activation and loss.custom_accuracy and loss.custom_cls_channels
        logits = torch.randn(6, 5, requires_grad=True)
        labels, weights = torch.tensor([0, 4, 3, 1, 4, 2]), torch.ones(6)
        found = loss(logits, labels, weights, avg_factor=3.0, reduction_override=None)
        expected = 2 * lt.ACSLLoss(4, background="last", reduction="sum")(logits, labels) / 3
        torch.testing.assert_close(found, expected)
        found.backward()
        right = logits.sigmoid()[:, :4].argmax(1) == labels
        accuracy = loss.get_accuracy(logits, labels)["acc_classes"]
        assert float(accuracy) == pytest.approx(float(right[labels < 4].float().mean() * 100))
        assert float(loss.get_accuracy(logits[:0], labels[:0])["acc_classes"]) == 0

    @pytest.mark.parametrize("kind", ["longtail.ACSLLoss", "longtail.SeesawLoss", "longtail.SoftmaxLoss"])
    def test_scores_have_background_last(self, kind: str) -> None:
        loss = self.build(kind)
        logits = torch.randn(6, loss.get_cls_channels(4))
        scores = loss.get_activation(logits)
        assert scores.shape == (6, 5) and (scores >= 0).all() and (scores <= 1).all()
        torch.testing.assert_close(scores[:, :4], loss.loss.scores(logits))

    def test_misuse_is_named(self) -> None:
        import longtail.mmdet as adapter

        with pytest.raises(ValueError, match="background last"):
            self.build(background="first")
        with pytest.raises(ValueError, match="not a loss"):
            adapter.make("none", 4)
        with pytest.raises(ValueError, match="reduction_override"):
            self.build()(torch.randn(2, 5), torch.tensor([0, 1]), reduction_override="none")


@pytest.mark.skipif(importlib.util.find_spec("rfdetr") is None, reason="rfdetr is not installed")
class TestRfdetr:
    def criterion(self, **settings: Any) -> Any:
        from rfdetr.models.criterion import SetCriterion

        return SetCriterion(
            num_classes=5, matcher=None, weight_dict={}, focal_alpha=0.25, losses=["labels"], **settings
        )

    def case(self) -> tuple[Any, Any, Any]:
        draw = torch.Generator().manual_seed(0)
        logits = (3 * torch.randn(2, 7, 5, generator=draw)).requires_grad_()
        boxes = torch.rand(2, 7, 4, generator=draw) * 0.4 + 0.3
        targets = [{"labels": torch.tensor([1, 3]), "boxes": torch.rand(2, 4) * 0.2 + 0.4}] * 2
        matched = [(torch.tensor([2, 5]), torch.tensor([0, 1])), (torch.tensor([0, 6]), torch.tensor([1, 0]))]
        return {"pred_logits": logits, "pred_boxes": boxes}, targets, matched

    @pytest.mark.parametrize("settings", [{"ia_bce_loss": True}, {"use_varifocal_loss": True}, {}], ids=str)
    def test_negatives_are_left_out(self, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
        import longtail.rfdetr as adapter

        outputs, targets, matched = self.case()
        count = torch.tensor(4.0)
        stock = self.criterion(**settings).loss_labels(outputs, targets, matched, count)["loss_ce"]
        everything, some = self.criterion(**settings), self.criterion(**settings)
        rules: dict[str, Any] = {"background": "none", "background_rule": "adaptive"}
        adapter.apply_loss(everything, lt.ACSLLoss(5, threshold=0.0, **rules))
        same = everything.loss_labels(outputs, targets, matched, count)["loss_ce"]
        torch.testing.assert_close(same, stock, rtol=0, atol=0)
        adapter.apply_loss(some, lt.ACSLLoss(5, threshold=0.7, **rules))
        assert "SetCriterion.loss_labels: negatives left out by ACSLLoss" in capsys.readouterr().out
        fewer = some.loss_labels(outputs, targets, matched, count)["loss_ce"]
        assert fewer < stock
        (gradient,) = torch.autograd.grad(fewer, outputs["pred_logits"])
        p = outputs["pred_logits"].detach().sigmoid()
        own = torch.zeros_like(p, dtype=torch.bool)
        own[[0, 0, 1, 1], [2, 5, 0, 6], [1, 3, 3, 1]] = True
        assert (
            not gradient[~own & (p < 0.7)].any() and gradient[own].all() and gradient[~own & (p >= 0.7)].all()
        )
        with pytest.raises(RuntimeError, match="already"):
            adapter.apply_loss(some, lt.ACSLLoss(5, **rules))

    def test_every_criterion_of_the_block(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import longtail.rfdetr as adapter
        import rfdetr.models
        from rfdetr.models import lwdetr

        built = self.criterion()
        original = lwdetr.build_criterion_from_config

        def build(*_: Any) -> Any:
            return built, None

        for module in (lwdetr, rfdetr.models):
            monkeypatch.setattr(module, "build_criterion_from_config", build)
        with adapter.use_loss(lambda c: lt.ACSLLoss(c, background="none", background_rule="dense")):
            assert rfdetr.models.build_criterion_from_config(None, None)[0] is built
        assert type(built)._longtail and rfdetr.models.build_criterion_from_config is build
        assert original is not build
        with (
            pytest.raises(RuntimeError, match="no criterion"),
            adapter.use_loss(lt.SigmoidBCELoss(5, background="none")),
        ):
            pass

    def test_misuse_is_named(self) -> None:
        import longtail.rfdetr as adapter

        with pytest.raises(ValueError, match="background='none'"):
            adapter.apply_loss(self.criterion(), lt.ACSLLoss(5, background="none"))
        with pytest.raises(RuntimeError, match="no loss_labels"):
            adapter.apply_loss(torch.nn.Linear(1, 1), lt.SigmoidBCELoss(5, background="none"))
