#!/bin/sh
# What the system tests need beyond Python, make and git: installed here with apt-get as root, else named.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need openssl openssl
need promtool prometheus
need ip iproute2
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $missing
    exit 0
fi
echo "The system tests need these packages (by their Debian names):$missing" >&2
exit 2
