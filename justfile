# `just` lists the recipes; each is a line that works without just as well.

default:
    @just --list

# What to run after each change: seconds, once the dependencies are built.
quick:
    cargo check --all-targets
    cargo test --lib
    cargo test --test tidy

# The tests of one area: `just test server durability`, `just test engine`.
test area *filter:
    cargo test --test {{area}} -- {{filter}}

# What a reviewer's machine complains about first.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --features backpropd/failpoints -- -D warnings

# Pages, links, help and the API reference; `just docs` writes what is generated, then checks all of it.
docs:
    UPDATE=1 cargo test --test readme api
    UPDATE=1 cargo test --test tidy documentation
    cargo test --test readme

# The export of traces, which is not in a normal build.
traces:
    cargo clippy --all-targets --features otlp -- -D warnings
    cargo test --features otlp --test traces
    cargo test -p backpropd --features otlp --lib traces

# A server on port 50051 that keeps nothing.
serve *settings:
    cargo run --release -- serve --ephemeral {{settings}}

# All that must hold before a change is accepted.
ci:
    .ci/run

# The files of a release, in target/release-files.
release:
    .ci/release
