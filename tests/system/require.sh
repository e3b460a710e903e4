#!/usr/bin/env bash
# Installs what the tests marked `system` need beyond Python, make and git, or names it and ends with 2.
# promtool goes into .venv/bin alone: Debian's package of it would start a Prometheus server as well.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH="$PWD/.venv/bin:/usr/sbin:$PATH"

declare -A package=([openssl]=openssl [ip]=iproute2 [systemd-analyze]=systemd [mosquitto]=mosquitto [sshd]=openssh-server [rsync]=rsync [ssh]=openssh-client [strace]=strace [docker-compose]=docker-compose)
missing=()
for program in "${!package[@]}"; do
  command -v "$program" > /dev/null || missing+=("${package[$program]}")
done
can_install() { [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; }

if can_install && { [ ${#missing[@]} -gt 0 ] || ! command -v promtool > /dev/null; }; then
  apt-get update -qq
  if [ ${#missing[@]} -gt 0 ]; then
    # No server is started: the tests run their own. What was there before is left as it was.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy"
      trap 'rm -f "$policy"' EXIT
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null || true
  fi
  if ! command -v promtool > /dev/null; then
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download -qq prometheus 2> /dev/null && dpkg-deb -x prometheus_*.deb .) \
      && install -m 755 "$folder/usr/bin/promtool" .venv/bin/promtool || true
    rm -rf "$folder"
  fi
fi

still=()
for program in "${!package[@]}" promtool; do
  command -v "$program" > /dev/null || still+=("$program")
done
if [ ${#still[@]} -gt 0 ]; then
  echo "The system tests need ${still[*]}: install the Debian packages openssl, iproute2, systemd, mosquitto, prometheus, openssh-server, openssh-client, rsync, strace, docker-compose." >&2
  exit 2
fi
if [ "$(id -u)" != 0 ]; then
  echo "The system tests make network namespaces: run them as root." >&2
  exit 2
fi
