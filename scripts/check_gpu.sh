#!/bin/sh
# Holds operations, losses, whole detectors and training on a GPU against the same references as on the processor, and watches the
# GPU's memory over a long run.
#   scripts/check_gpu.sh cuda|vulkan|wgpu [STEPS]
# LONGTAIL_TEST_DEVICE names another device than the first, such as cuda:1; the losses' own tests take the first.
set -eu
cd "$(dirname "$0")/.."
feature=${1:?cuda, vulkan or wgpu}
export LONGTAIL_TEST_DEVICE="${LONGTAIL_TEST_DEVICE:-$feature}" LONGTAIL_TEST_STEPS="${2:-1000}"
# The same crates in both calls: others would change the features of what they share, and build it anew.
gpu_test() { cargo test -p longtail-ops -p longtail-detect -p longtail-train --features "longtail-train/$feature" "$@"; }
gpu_test --lib gpu
gpu_test --test all --test golden_detector --test golden_cascade --test gpu -- \
    --nocapture --test-threads 1
