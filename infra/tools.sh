# What infra/deploy and infra/destroy have in common; sourced, with $infra and $root set.
# shellcheck shell=bash

# The scripts that source this use it.
# shellcheck disable=SC2034
functions=(callback apply reconcile notify connections orders)

say() { printf '\n== %s\n' "$*" >&2; }

fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

check_stage() {
    [ -n "$1" ] || fail "which stage? see --help"
    [[ $1 =~ ^[a-z][a-z0-9-]{0,19}$ ]] ||
        fail "a stage is 1 to 20 small letters, digits and hyphens and begins with a letter, not $1"
}

# Puts the pinned tools on the path, in a virtual environment that is made again when the pins change.
need_tools() {
    command -v python3 >/dev/null || fail "python3 is missing: install Python 3.10 or later with its venv module"
    local environment=$root/target/infra-tools
    if ! cmp -s "$infra/requirements.txt" "$environment/requirements.txt"; then
        say "installing the tools of infra/requirements.txt"
        rm -rf "$environment"
        python3 -m venv "$environment" || fail "python3 -m venv does not work: install Python's venv module (Debian: python3-venv)"
        "$environment/bin/python" -m pip install --quiet --disable-pip-version-check -r "$infra/requirements.txt"
        cp "$infra/requirements.txt" "$environment/requirements.txt"
    fi
    PATH=$environment/bin:$PATH
    export PATH SAM_CLI_TELEMETRY=0
}

need_rust() {
    command -v cargo >/dev/null || fail "cargo is missing: install Rust from https://rustup.rs"
    local installed
    installed=$(rustc --print target-libdir --target "$1")
    [ -d "$installed" ] || rustup target add "$1" || fail "the toolchain cannot build for $1"
}

need_region() {
    region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(python -c 'import boto3; print(boto3.Session().region_name or "")')}}
    [ -n "$region" ] || fail "no region: set AWS_REGION"
    export AWS_REGION=$region AWS_DEFAULT_REGION=$region
    python - <<'PYTHON' || fail "AWS does not accept these credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
import boto3, sys
try:
    boto3.client("sts").get_caller_identity()
except Exception as error:
    sys.exit(f"{error}")
PYTHON
}
