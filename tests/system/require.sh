#!/usr/bin/env bash
# Installs what the tests marked `system` need beyond Python, make and git, or names it and ends with 2.
set -euo pipefail

missing=()
command -v openssl > /dev/null || missing+=(openssl)
if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y "${missing[@]}" > /dev/null || true
fi

still=()
for program in "${missing[@]}"; do
  command -v "$program" > /dev/null || still+=("$program")
done
if [ ${#still[@]} -gt 0 ]; then
  echo "The system tests need ${still[*]}: install it, for example with 'sudo apt-get install ${still[*]}'." >&2
  exit 2
fi
