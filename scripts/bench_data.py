"""Images a second of loaders: decode, resize to short side 800 and long side up to 1333, flip half of them, normalise.

    cargo build --release -p longtail-data --example bench_loader
    python scripts/bench_data.py PHOTOGRAPHS [--images 512] [--rounds 3] [--native]

Needs torch, torchvision, opencv-python-headless. The photographs are made 640 x 480 (quality 90) in a temporary folder, unless
--native takes them as they are. Every loader has two workers, batches of 8, and goes over the same files in one process tree at a time,
one after the other in each round; the median and the range of the rounds are printed. CPU time is that of all processes over all images,
the first ones too; on a busy machine it says more than the rate.

torchvision: Pillow decodes, transforms v2 on it, normalised as a tensor; DataLoader(num_workers=2), as in torchvision's
references without joining to one block. OpenCV: imread, resize (bilinear), flip, and the fastest of three ways to normalised planes; once in
the same DataLoader and once as two bare processes that hand nothing over. longtail: its training loader, which also pads and joins.
"""

import argparse
import json
import multiprocessing
import pathlib
import random
import resource
import statistics
import subprocess
import tempfile
import time

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE.parent / "target/release/examples/bench_loader"
MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
SHORT, LONG, BATCH, WORKERS, WARM = 800, 1333, 8, 2, 64


class Pillow(torch.utils.data.Dataset):
    def __init__(self, files):
        self.files = files
        self.transform = v2.Compose([
            v2.Resize(SHORT, max_size=LONG),
            v2.RandomHorizontalFlip(0.5),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([m / 255 for m in MEAN], [s / 255 for s in STD]),
        ])

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        return self.transform(Image.open(self.files[index]).convert("RGB"))


def subtract_and_multiply(image):
    planes = np.empty((3, *image.shape[:2]), np.float32)
    for c in range(3):
        np.multiply(cv2.extractChannel(image, 2 - c), np.float32(1 / STD[c]), out=planes[c], dtype=np.float32)
        planes[c] -= np.float32(MEAN[c] / STD[c])
    return planes


TABLES = [((np.arange(256) - m) / s).astype(np.float32) for m, s in zip(MEAN, STD)]


def table(image):
    planes = np.empty((3, *image.shape[:2]), np.float32)
    for c in range(3):
        cv2.LUT(cv2.extractChannel(image, 2 - c), TABLES[c], dst=planes[c])
    return planes


def blob(image):
    height, width = image.shape[:2]
    planes = cv2.dnn.blobFromImage(image, 1.0, (width, height), tuple(MEAN), swapRB=True)[0]
    planes *= (1 / np.array(STD, np.float32))[:, None, None]
    return planes


class OpenCv(torch.utils.data.Dataset):
    def __init__(self, files, normalise):
        self.files, self.normalise = files, normalise

    def __len__(self):
        return len(self.files)

    def __getitem__(self, index):
        cv2.setNumThreads(1)
        image = cv2.imread(str(self.files[index]))
        height, width = image.shape[:2]
        scale = min(SHORT / min(height, width), LONG / max(height, width))
        image = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_LINEAR)
        if random.random() < 0.5:
            image = cv2.flip(image, 1)
        return self.normalise(image)


def identity(batch):
    return batch


def loader_rate(dataset, images):
    order = [i % len(dataset) for i in range(images + WARM)]
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=BATCH, sampler=order, num_workers=WORKERS, collate_fn=identity)
    done, start = 0, None
    for batch in loader:
        done += len(batch)
        if start is None and done >= WARM:
            done, start = 0, time.perf_counter()
    return done / (time.perf_counter() - start)


def bare(dataset, images, worker, ready, queue):
    for i in range(WARM // WORKERS):
        dataset[(worker + i) % len(dataset)]
    ready.wait()
    start = time.perf_counter()
    for i in range(worker, images, WORKERS):
        dataset[i % len(dataset)]
    queue.put((start, time.perf_counter()))


def bare_rate(dataset, images):
    context = multiprocessing.get_context("fork")
    ready, queue = context.Barrier(WORKERS), context.Queue()
    workers = [context.Process(target=bare, args=(dataset, images, w, ready, queue)) for w in range(WORKERS)]
    for worker in workers:
        worker.start()
    times = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    return images / (max(end for _, end in times) - min(start for start, _ in times))


def ours(folder, images):
    report = f"{WARM},{images + WARM}"
    command = [PROGRAM, folder, "--workers", str(WORKERS), "--batch", str(BATCH), "--report", report]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return json.loads(lines[-1])["images_per_second"]


def cpu_seconds():
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--native", action="store_true", help="take the files as they are")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.photographs
        if not arguments.native:
            folder = pathlib.Path(temporary)
            for path in sorted(arguments.photographs.glob("*.jpg"))[:256]:
                image = Image.open(path).convert("RGB")
                if image.width > image.height:
                    image.resize((640, 480), Image.BICUBIC).save(folder / path.name, quality=90)
        files = sorted(folder.glob("*.jpg"))
        print(f"{len(files)} files, torch {torch.__version__}, OpenCV {cv2.__version__}, {WORKERS} workers")

        def seconds(normalise):
            image = cv2.resize(cv2.imread(str(files[0])), (1067, 800))
            normalise(image)
            start = time.perf_counter()
            for _ in range(20):
                normalise(image)
            return time.perf_counter() - start

        normalise = min([subtract_and_multiply, table, blob], key=seconds)
        print(f"OpenCV normalises by: {normalise.__name__}")
        images = arguments.images
        contenders = {
            "longtail": (images * 4, lambda n: ours(folder, n)),
            "torchvision, Pillow, DataLoader": (images, lambda n: loader_rate(Pillow(files), n)),
            "OpenCV, DataLoader": (images, lambda n: loader_rate(OpenCv(files, normalise), n)),
            "torchvision, Pillow, 2 bare processes": (images, lambda n: bare_rate(Pillow(files), n)),
            "OpenCV, 2 bare processes": (images * 2, lambda n: bare_rate(OpenCv(files, normalise), n)),
        }
        rates, costs = {name: [] for name in contenders}, {name: [] for name in contenders}
        for _ in range(arguments.rounds):
            for name, (count, measure) in contenders.items():
                before = cpu_seconds()
                rates[name].append(measure(count))
                costs[name].append((cpu_seconds() - before) / (count + WARM) * 1e3)
        print("| loader | images/s | longtail over it | CPU ms an image | over longtail's |")
        print("| --- | ---: | ---: | ---: | ---: |")

        def column(values):
            digits = 0 if statistics.median(values) >= 20 else 2
            return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"

        for name in contenders:
            faster = [a / b for a, b in zip(rates["longtail"], rates[name])]
            cheaper = [a / b for a, b in zip(costs[name], costs["longtail"])]
            print(f"| {name} | {column(rates[name])} | {column(faster)} | {column(costs[name])} | {column(cheaper)} |")


if __name__ == "__main__":
    main()
