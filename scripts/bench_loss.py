"""The rivals of `crates/longtail-loss/benches/loss.rs` in PyTorch, on the CPU with as many threads as cores; see
scripts/bench_loss.sh. ACSL as its authors formulate it: a mask, a target matrix, weighted BCE with logits, autograd.

Needs torch. Prints one JSON object of median seconds.
"""

import json
import statistics
import time

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, linear


def timed(step):
    start = time.perf_counter()
    step()
    step()
    repeats = int(min(max(2.0 / (time.perf_counter() - start), 5), 200))
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def make_labels(rows, classes):
    return torch.tensor([n * 37 % classes + 1 if n % 4 == 0 else 0 for n in range(rows)])


def make_logits(rows, columns, head, labels):
    z = torch.randn(rows, columns)
    z = z * 1.5 - 7 if head == "converged" else z * 0.1
    if head == "converged":
        z[torch.arange(rows), labels] += 9
    return z.requires_grad_()


def target_matrix(z, labels):
    target = z.new_zeros(z.shape)
    target[torch.arange(len(labels)), labels] = 1
    return target


def acsl(z, labels, threshold=0.7):
    target = target_matrix(z, labels)
    weight = (torch.sigmoid(z.detach()) >= threshold).float()
    weight[torch.arange(len(labels)), labels] = 1
    return (binary_cross_entropy_with_logits(z, target, reduction="none") * weight).sum() / len(labels)


def acsl_frequency_sampled(z, labels, groups, threshold=0.7):
    target = target_matrix(z, labels)
    weight = (torch.sigmoid(z.detach()) >= threshold).float()
    background = torch.nonzero(labels == 0).squeeze(1)
    weight[background] = 0
    for group, share in enumerate((0.01, 0.1, 1.0)):
        rows = background[torch.randperm(len(background))[: int(share * len(background))]]
        weight[rows[:, None], 1 + groups[group][None]] = 1
    weight[torch.arange(len(labels)), labels] = 1
    return (binary_cross_entropy_with_logits(z, target, reduction="none") * weight).sum() / len(labels)


def bce(z, labels):
    return binary_cross_entropy_with_logits(z, target_matrix(z, labels), reduction="sum") / len(labels)


def focal(z, labels, gamma=2.0, alpha=0.25):
    target = target_matrix(z, labels)
    p = torch.sigmoid(z)
    p_t = p * target + (1 - p) * (1 - target)
    alpha_t = alpha * target + (1 - alpha) * (1 - target)
    terms = binary_cross_entropy_with_logits(z, target, reduction="none")
    return (alpha_t * (1 - p_t) ** gamma * terms).sum() / len(labels)


def from_logits(rows, columns, head):
    labels = make_labels(rows, columns - 1)
    z = make_logits(rows, columns, head, labels)
    counts = torch.arange(columns - 1) ** 2 % 3000 + 1
    groups = [torch.nonzero(m).squeeze(1) for m in (counts <= 10, (counts > 10) & (counts <= 100), counts > 100)]
    losses = {
        "acsl adaptive": lambda: acsl(z, labels),
        # PyTorch has no sparse form; the rival is the same.
        "acsl adaptive, triples": lambda: acsl(z, labels),
        "acsl frequency-sampled": lambda: acsl_frequency_sampled(z, labels, groups),
        "bce": lambda: bce(z, labels),
        "focal": lambda: focal(z, labels),
        "softmax": lambda: cross_entropy(z, labels),
    }
    times = {}
    for name, loss in losses.items():

        def step(loss=loss):
            z.grad = None
            loss().backward()

        times[name] = timed(step)
    return times


def whole_layer(rows, columns, width=1024):
    labels = make_labels(rows, columns - 1)
    inputs = torch.randn(rows, width, requires_grad=True)
    weight = (torch.randn(columns, width) * 1.5 / width**0.5).requires_grad_()
    bias = torch.full((columns,), -7.0, requires_grad=True)

    def step():
        inputs.grad = weight.grad = bias.grad = None
        acsl(linear(inputs, weight, bias), labels).backward()

    def forward():
        with torch.no_grad():
            linear(inputs, weight, bias)

    return {"total": timed(step), "forward_product": timed(forward)}


def main():
    torch.manual_seed(0)
    results = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    for rows, columns in ((512, 81), (1024, 1231), (8192, 1231), (512, 13205)):
        for head in ("converged", "fresh"):
            results[f"{rows}x{columns} {head}"] = from_logits(rows, columns, head)
    for rows, columns in ((512, 81), (1024, 1231), (8192, 1231), (512, 13205)):
        results[f"{rows}x{columns} linear"] = whole_layer(rows, columns)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
