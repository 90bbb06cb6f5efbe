# `just` lists the recipes.

default:
    @just --list

# A development server on 127.0.0.1:8200 with the root token `root`
dev:
    cargo run --release -- server -dev -dev-root-token-id=root

# The whole story: root, intermediate, role, login, workload, the three-deep chain
demo:
    cargo run --release -- demo

# All tests
test *args:
    scripts/test {{args}}

# What a change must pass
ci:
    .ci/run

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Foreign programs against Signet: all suites, or those that are named
conformance *args:
    cargo run --locked --package signet-conformance -- {{args}}
