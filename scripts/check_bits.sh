#!/bin/sh
# Hashes of what a fixed seed gives: the quick demo's table, detections and weights, a feature bank made from
# it, a head trained on that bank with its detections, and the embedded benchmark as files. A change that should
# change nothing is run before and after it, on one machine: processors with other vector units round otherwise.
#
#   scripts/check_bits.sh [BINARY] > before.txt        # default: target/release/longtail
set -eu
binary=$(realpath "${1:-target/release/longtail}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

"$binary" demo --quick --seed 0 --out run --format json > table.json 2> log.txt || { cat log.txt >&2; exit 1; }
"$binary" features extract run --out bank >> log.txt 2>&1 || { cat log.txt >&2; exit 1; }
"$binary" head train bank --loss acsl --out head.safetensors >> log.txt 2>&1 || { cat log.txt >&2; exit 1; }
"$binary" head eval head.safetensors bank/validation --format json > head.json 2>> log.txt || { cat log.txt >&2; exit 1; }
"$binary" emoji export emoji --classes 12 --images 200 >> log.txt 2>&1 || { cat log.txt >&2; exit 1; }

# Tensors without the header, which names the run and the program.
tensors() {
    python3 - "$1" <<'PY'
import hashlib, json, struct, sys
data = open(sys.argv[1], "rb").read()
length = struct.unpack("<Q", data[:8])[0]
header = json.loads(data[8:8 + length])
digest = hashlib.sha256()
for name in sorted(n for n in header if n != "__metadata__"):
    start, end = header[name]["data_offsets"]
    digest.update(name.encode() + data[8 + length + start:8 + length + end])
print(digest.hexdigest())
PY
}
say() { printf '%s  %s\n' "$1" "$2"; }
say "$(sha256sum < table.json | cut -d' ' -f1)" 'table of the quick demo'
for file in run/detections/*.json; do say "$(sha256sum < "$file" | cut -d' ' -f1)" "${file#run/}"; done | sort -k1
for file in run/checkpoints/*.safetensors; do say "$(tensors "$file")" "${file#run/}"; done
for file in bank/*.safetensors bank/*/*.safetensors; do
    if [ -f "$file" ]; then say "$(tensors "$file")" "$file"; fi
done
say "$(tensors head.safetensors)" 'head trained with ACSL'
say "$(sha256sum < head.json | cut -d' ' -f1)" 'its evaluation'
say "$(cd emoji && find . -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)" 'the benchmark as files'
