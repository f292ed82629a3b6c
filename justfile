# What is run daily; `just` lists it. Each line is a plain command, so that nothing but a shell is needed without `just`.

default:
    @just --list

# Everything that must hold before a change lands
ci:
    .ci/run

# Format, and the quick lints of one crate: `just check longtail-loss`
check crate:
    cargo fmt --all
    cargo check -p {{crate}} --all-targets

# The tests of one crate, with a part of their names: `just test longtail-eval parity`
test crate name="":
    cargo test -p {{crate}} {{name}}

# The demo in its quick form
demo:
    cargo run --release -- demo --quick

# Take changed snapshots of help and tables; look at `git diff` afterwards
snapshots:
    INSTA_UPDATE=always cargo test -p longtail-cli --test all help

# Make the recipe's reference and JSON Schema again, after a change of its types
reference:
    cargo run -p longtail-cli -- explain recipe --format markdown > docs/reference/recipe.md
    cargo run -p longtail-cli -- explain recipe --format json > docs/reference/recipe.schema.json

# Run every command of the tutorial
tutorial:
    cargo build -p longtail-cli
    scripts/check_tutorial.sh

# Build and test the Python package
python:
    scripts/check_python.sh

# Fuzz one reader for ten minutes: `just fuzz yolo`
fuzz target:
    RUSTC_BOOTSTRAP=1 cargo fuzz run --features run -s none {{target}} -- -max_total_time=600

# Times beside PyTorch's, on the same machine; needs python3 with torch
bench:
    scripts/bench_step.sh
    scripts/bench_loss.sh
