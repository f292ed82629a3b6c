"""Golden vectors of the classification losses: value and gradient in float64 by PyTorch, written from the formulas.

    python scripts/golden/losses.py > crates/longtail-loss/tests/golden/losses.json

Needs torch. Twenty random batches a method, the first without foreground and the second without background; running
statistics go from batch to batch. Random draws of the methods are functions of a key (seed, step, purpose, index) and
are recomputed here from their definition in `longtail-draw`.
"""

import json
import math
import random

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import logsigmoid

MASK = (1 << 64) - 1
CLASSES = 6
IMAGES = [2, 9, 40, 80, 300, 900]
BOXES = [3, 9, 60, 150, 700, 4000]
TOTAL_IMAGES = 1000
SEED = 7


def mix(value):
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def draw(step, purpose, index):
    state = SEED
    for word in (step, purpose, index):
        state = mix(((state + 0x9E3779B97F4A7C15) & MASK) ^ mix(word))
    return state


def unit(step, purpose, index):
    return (draw(step, purpose, index) >> 11) / (1 << 53)


def without_replacement(step, purpose, population, count):
    order = sorted((draw(step, purpose, i), i) for i in range(population))
    return [i for _, i in order[:count]]


def one_hot(labels, background):
    target = torch.zeros(len(labels), CLASSES + 1, dtype=torch.float64)
    target[range(len(labels)), labels] = 1
    return target if background else target[:, 1:]


def is_background(labels):
    return torch.tensor([label == 0 for label in labels])


def column_names(background):
    """Class of each column; -1 for the background logit."""
    return ([-1] if background else []) + list(range(CLASSES))


def mean_bce(z, target, weight):
    return (bce(z, target, reduction="none") * weight).sum() / len(z)


def softmax(z, labels, step, config, state):
    return -torch.log_softmax(z, 1)[range(len(labels)), labels].mean()


def sigmoid_bce(z, labels, step, config, state):
    target = one_hot(labels, config["background_logit"])
    return mean_bce(z, target, torch.ones_like(z))


def focal_terms(z, target, gamma, alpha):
    p_t = torch.where(target > 0, torch.sigmoid(z), torch.sigmoid(-z))
    log_p_t = torch.where(target > 0, logsigmoid(z), logsigmoid(-z))
    alpha_t = torch.where(target > 0, alpha, 1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * log_p_t


def focal(z, labels, step, config, state):
    target = one_hot(labels, config["background_logit"])
    return focal_terms(z, target, config["gamma"], config["alpha"]).sum() / len(z)


def acsl(z, labels, step, config, state):
    target = one_hot(labels, config["background_logit"])
    kept = (torch.sigmoid(z.detach()) >= config["threshold"]).double()
    rows = [n for n, label in enumerate(labels) if label == 0]
    names = column_names(config["background_logit"])
    if config["background"] == "dense":
        kept[rows] = 1
    if config["background"] == "frequency-sampled":
        kept[rows] = 0
        for group, share in enumerate((0.01, 0.1, 1.0)):
            for place in without_replacement(step, group, len(rows), math.floor(share * len(rows))):
                for column, name in enumerate(names):
                    of = None if name < 0 else (IMAGES[name] > 10) + (IMAGES[name] > 100)
                    if of == group:
                        kept[rows[place], column] = 1
    return mean_bce(z, target, torch.maximum(kept, target))


def protected(threshold):
    return torch.tensor([n / TOTAL_IMAGES < threshold for n in IMAGES])


def eql(z, labels, step, config, state):
    target = one_hot(labels, False)
    foreground = ~is_background(labels)
    dropped = foreground[:, None] & protected(config["frequency_threshold"])[None] & (target == 0)
    return mean_bce(z, target, (~dropped).double())


def drop_loss(z, labels, step, config, state):
    target = one_hot(labels, False)
    rare = protected(config["frequency_threshold"])
    own = [bool(rare[label - 1]) for label in labels if label > 0]
    ratio = sum(own) / max(len(own), 1)
    weight = torch.ones_like(z)
    for n, label in enumerate(labels):
        for c in range(CLASSES):
            if rare[c] and target[n, c] == 0:
                kept = label == 0 and ratio > 0 and unit(step, 10, n * CLASSES + c) <= ratio
                weight[n, c] = float(kept)
    return mean_bce(z, target, weight)


def federated(z, labels, step, config, state):
    chosen = {label - 1 for label in labels if label > 0}
    waiting = []
    for c in range(CLASSES):
        if c not in chosen:
            waiting.append((-math.log(1 - unit(step, 11, c)) / IMAGES[c] ** config["count_power"], c))
    chosen |= {c for _, c in sorted(waiting)[: max(config["classes"] - len(chosen), 0)]}
    weight = torch.tensor([float(c in chosen) for c in range(CLASSES)], dtype=torch.float64)
    return mean_bce(z, one_hot(labels, False), weight[None].expand_as(z))


def gradient_ratio(state, initial):
    positive, negative = state["positive"], state["negative"]
    ratio = positive / (negative + 1e-10)
    return torch.where((positive == 0) & (negative == 0), torch.full_like(ratio, initial), ratio)


def eql_v2(z, labels, step, config, state):
    state.setdefault("positive", torch.zeros(CLASSES, dtype=torch.float64))
    state.setdefault("negative", torch.zeros(CLASSES, dtype=torch.float64))
    target = one_hot(labels, True)
    f = torch.sigmoid(config["gamma"] * (gradient_ratio(state, 100.0) - config["mu"]))
    one = torch.ones(1, dtype=torch.float64)
    as_negative = torch.cat([one, f])[None]
    as_positive = torch.cat([one, 1 + config["alpha"] * (1 - f)])[None]
    weight = as_positive * target + as_negative * (1 - target)
    slope = (torch.sigmoid(z.detach()) - target).abs() * weight
    state["positive"] = state["positive"] + (slope * target).sum(0)[1:]
    state["negative"] = state["negative"] + (slope * (1 - target)).sum(0)[1:]
    return mean_bce(z, target, weight)


def equalized_focal(z, labels, step, config, state):
    state.setdefault("positive", torch.zeros(CLASSES, dtype=torch.float64))
    state.setdefault("negative", torch.zeros(CLASSES, dtype=torch.float64))
    target = one_hot(labels, False)
    gamma = config["gamma"] + config["scale"] * (1 - gradient_ratio(state, 1.0).clamp(0, 1))
    slope = (torch.sigmoid(z.detach()) - target).abs()
    state["positive"] = state["positive"] + (slope * target).sum(0)
    state["negative"] = state["negative"] + (slope * (1 - target)).sum(0)
    terms = focal_terms(z, target, gamma[None].expand_as(z), config["alpha"])
    return (terms * gamma[None] / config["gamma"]).sum() / len(z)


def seesaw(z, labels, step, config, state):
    state.setdefault("counts", torch.zeros(CLASSES, dtype=torch.float64))
    rows = [n for n, label in enumerate(labels) if label > 0]
    own = torch.tensor([labels[n] - 1 for n in rows], dtype=torch.long)
    state["counts"] = state["counts"] + torch.bincount(own, minlength=CLASSES)
    foreground = torch.tensor([int(label > 0) for label in labels])
    loss = -torch.log_softmax(z[:, :2], 1)[range(len(labels)), foreground].sum()
    if rows:
        of_classes = z[rows, 2:]
        counts = state["counts"].clamp(min=1)
        mitigation = (counts[None] / counts[own][:, None]).clamp(max=1) ** config["p"]
        p = torch.softmax(of_classes.detach(), 1)
        p_own = p[range(len(rows)), own].clamp(min=config["epsilon"])
        compensation = (p / p_own[:, None]).clamp(min=1) ** config["q"]
        added = torch.log(mitigation * compensation)
        added[range(len(rows)), own] = 0
        loss = loss - torch.log_softmax(of_classes + added, 1)[range(len(rows)), own].sum()
    return loss / len(z)


def bags(z, labels, step, config, state):
    members = [[] for _ in range(len(config["cuts"]) + 1)]
    for c, n in enumerate(BOXES):
        members[sum(n >= cut for cut in config["cuts"])].append(c)
    groups = [group for group in members if group]
    foreground = torch.tensor([int(label > 0) for label in labels])
    loss = -torch.log_softmax(z[:, :2], 1)[range(len(labels)), foreground].mean()
    for g, group in enumerate(groups):
        own = [n for n, label in enumerate(labels) if label > 0 and label - 1 in group]
        others = [n for n in range(len(labels)) if n not in own]
        if not own:
            continue
        drawn = without_replacement(step, 100 + g, len(others), math.floor(config["others_ratio"] * len(own)))
        rows = own + [others[place] for place in drawn]
        target = [1 + group.index(labels[n] - 1) for n in own] + [0] * len(drawn)
        columns = [2 + g] + [2 + len(groups) + c for c in group]
        of_group = z[rows][:, columns]
        loss = loss - torch.log_softmax(of_group, 1)[range(len(rows)), target].mean()
    return loss


def class_weights(beta):
    raw = [(1 - beta) / (1 - beta**n) for n in BOXES]
    mean = sum(raw) / CLASSES
    return [1.0] + [w / mean for w in raw]


def class_balanced(z, labels, step, config, state):
    weights = class_weights(config["beta"])
    weight = torch.tensor([weights[label] for label in labels], dtype=torch.float64)
    return -(weight * torch.log_softmax(z, 1)[range(len(labels)), labels]).mean()


def ldam(z, labels, step, config, state):
    raw = [n**-0.25 for n in BOXES]
    margins = [0.0] + [config["max_margin"] * m / max(raw) for m in raw]
    moved = z - one_hot(labels, True) * torch.tensor(margins, dtype=torch.float64)[None]
    terms = torch.log_softmax(config["scale"] * moved, 1)[range(len(labels)), labels]
    if step >= config.get("deferred_from", math.inf):
        weights = class_weights(config["beta"])
        terms = terms * torch.tensor([weights[label] for label in labels], dtype=torch.float64)
    return -terms.mean()


def balanced_softmax(z, labels, step, config, state):
    added = [0.0] + [config["tau"] * math.log(n / max(BOXES)) for n in BOXES]
    adjusted = z + torch.tensor(added, dtype=torch.float64)[None]
    return -torch.log_softmax(adjusted, 1)[range(len(labels)), labels].mean()


def ecm(z, labels, step, config, state):
    own = torch.tensor([config["background"] * sum(IMAGES)] + IMAGES, dtype=torch.float64)
    others = own.sum() - own
    # The authors' margins: the ratio of the two sides, to the fourth root by default.
    margin_own, margin_others = others ** config["power"], own ** config["power"]
    p = margin_others * torch.exp(z) / (margin_others * torch.exp(z) + margin_own * torch.exp(-z))
    target = one_hot(labels, True)
    a = others / own
    weight = a * torch.log((1 + a) / a)
    terms = -(target * torch.log(p) + (1 - target) * torch.log(1 - p))
    return (terms * weight[None]).sum() / len(z)


def gol(z, labels, step, config, state):
    p = 1 / torch.exp(torch.exp(-torch.clamp(z, min=-4, max=10)))
    target = one_hot(labels, config["background_logit"])
    # log1p and expm1 where 1 - p is tiny; autograd differentiates them.
    log_not = torch.log(-torch.expm1(-torch.exp(-torch.clamp(z, min=-4, max=10))))
    return -(target * torch.log(p) + (1 - target) * log_not).sum() / len(z)


BCE = {"background_logit": False}
CASES = [
    (softmax, "softmax-cross-entropy", {}, CLASSES + 1),
    (sigmoid_bce, "sigmoid-bce", BCE, CLASSES),
    (sigmoid_bce, "sigmoid-bce", {"background_logit": True}, CLASSES + 1),
    (focal, "focal", {"gamma": 2.0, "alpha": 0.25, **BCE}, CLASSES),
    (focal, "focal", {"gamma": 1.5, "alpha": 0.6, "background_logit": True}, CLASSES + 1),
    (acsl, "acsl", {"threshold": 0.7, "background": "adaptive", **BCE}, CLASSES),
    (acsl, "acsl", {"threshold": 0.3, "background": "dense", "background_logit": True}, CLASSES + 1),
    (acsl, "acsl", {"threshold": 0.7, "background": "frequency-sampled", "background_logit": True}, CLASSES + 1),
    (eql, "eql", {"frequency_threshold": 0.05}, CLASSES),
    (drop_loss, "drop-loss", {"frequency_threshold": 0.05}, CLASSES),
    (federated, "federated", {"classes": 4, "count_power": 0.5}, CLASSES),
    (eql_v2, "eql-v2", {"gamma": 12.0, "mu": 0.8, "alpha": 4.0}, CLASSES + 1),
    (equalized_focal, "equalized-focal", {"gamma": 2.0, "scale": 8.0, "alpha": 0.25}, CLASSES),
    (seesaw, "seesaw", {"p": 0.8, "q": 2.0, "epsilon": 0.01}, CLASSES + 2),
    (bags, "bags", {"cuts": [10, 100, 1000], "others_ratio": 8.0}, CLASSES + 6),
    (bags, "bags", {"cuts": [100], "others_ratio": 1.0}, CLASSES + 4),
    (class_balanced, "class-balanced", {"beta": 0.999}, CLASSES + 1),
    (ldam, "ldam", {"max_margin": 0.5, "scale": 30.0}, CLASSES + 1),
    (ldam, "ldam", {"max_margin": 0.5, "scale": 5.0, "deferred_from": 10, "beta": 0.99}, CLASSES + 1),
    (balanced_softmax, "balanced-softmax", {"tau": 1.0}, CLASSES + 1),
    (ecm, "ecm", {"power": 0.25, "background": 6.33}, CLASSES + 1),
    (ecm, "ecm", {"power": 0.5, "background": 0.5}, CLASSES + 1),
    (gol, "gol", BCE, CLASSES),
    (gol, "gol", {"background_logit": True}, CLASSES + 1),
]


def main():
    cases = []
    for place, (loss, kind, config, columns) in enumerate(CASES):
        generator, state, batches = random.Random(place), {}, []
        for step in range(20):
            rows = 1 + generator.randrange(12)
            choices = {0: [0], 1: range(1, CLASSES + 1)}.get(step, range(CLASSES + 1))
            labels = [generator.choice(choices) if generator.random() < 0.7 or step == 1 else 0 for _ in range(rows)]
            # Whole multiples of 1/64 have the same value in float32.
            values = [[round(generator.gauss(0, 2) * 64) / 64 for _ in range(columns)] for _ in range(rows)]
            z = torch.tensor(values, dtype=torch.float64, requires_grad=True)
            value = loss(z, labels, step, config, state)
            value.backward()
            batches.append(
                {
                    "step": step,
                    "labels": labels,
                    "logits": [x for row in values for x in row],
                    "value": float(f"{value.item():.10g}"),
                    "gradient": [float(f"{x:.7g}") for x in z.grad.flatten().tolist()],
                }
            )
        cases.append({"loss": {"kind": kind, **config}, "batches": batches})
    context = {"images": IMAGES, "boxes": BOXES, "total_images": TOTAL_IMAGES, "seed": SEED}
    print(json.dumps({"context": context, "cases": cases}, separators=(",", ":")))


if __name__ == "__main__":
    main()
