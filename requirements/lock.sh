#!/bin/sh
# Write the locked requirements anew: the widest set first, the others held to its versions.
# Needs `uv` on PATH. Hashes are recorded, download addresses are not. `--upgrade` takes newer versions.
set -eu
cd "$(dirname "$0")/.."
compile() {
    out=$1; shift
    uv pip compile pyproject.toml requirements/build.in --universal --python-version 3.11 \
        --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet \
        --output-file "requirements/$out.txt" "$@"
}
compile bench --extra cpu --extra test --extra bench "$@"
compile test --extra cpu --extra test --constraint requirements/bench.txt
compile cpu --extra cpu --constraint requirements/bench.txt
compile gp --extra cpu --extra gp --constraint requirements/bench.txt
compile gpu --extra gpu --constraint requirements/bench.txt
