"""The files that start a host's nodes: a systemd unit, a compose file, a script.

Lives here: their text. Never here: who the nodes are. Each way runs the same `p2penergy start --home`;
an operator takes the one that suits the machine.
"""

from collections.abc import Sequence
from importlib.metadata import version

UNIT_FILE = "p2penergy@.service"
COMPOSE_FILE = "compose.yaml"
START_FILE = "start.sh"

OPEN_FILES_MAX = 65_536
STOP_S = 30

UNIT = f"""\
# One instance per node: systemctl enable --now p2penergy@NAME, where NAME is the node's folder.
# Expects the program in /opt/p2penergy/bin and the nodes' folders in /var/lib/p2penergy.
[Unit]
Description=p2penergy node %i
Documentation=https://github.com/p2penergy/p2penergy/blob/main/docs/operating.md
Wants=network-online.target time-sync.target
After=network-online.target time-sync.target

[Service]
Type=exec
User=p2penergy
Group=p2penergy
ExecStart=/opt/p2penergy/bin/p2penergy start --home /var/lib/p2penergy/%i
Restart=on-failure
RestartSec=5
# 2: the settings or the disk need a person; starting again would not help.
RestartPreventExitStatus=2
TimeoutStopSec={STOP_S}
LimitNOFILE={OPEN_FILES_MAX}
UMask=0077
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectHome=yes
ProtectSystem=strict
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
LockPersonality=yes
ReadWritePaths=/var/lib/p2penergy

[Install]
WantedBy=multi-user.target
"""


def compose(nodes: Sequence[str]) -> str:
    """A compose file with one service per node.

    The host's own network: a validator's address is in every other validator's settings.
    """
    lines = ["# Build the image first: docker build -t p2penergy:VERSION . in the program's checkout."]
    lines += ["services:"]
    for node in nodes:
        lines += [
            f"  {node}:",
            f"    image: ${{P2PENERGY_IMAGE:-p2penergy:{version('p2penergy')}}}",
            '    command: ["start", "--home", "/home/node"]',
            '    user: "${P2PENERGY_UID:-1000}:${P2PENERGY_GID:-1000}"',
            "    network_mode: host",
            "    restart: on-failure",
            f"    stop_grace_period: {STOP_S}s",
            "    read_only: true",
            "    tmpfs: [/tmp]",
            '    cap_drop: ["ALL"]',
            '    security_opt: ["no-new-privileges:true"]',
            "    ulimits:",
            f"      nofile: {OPEN_FILES_MAX}",
            "    volumes:",
            f"      - ./{node}:/home/node",
        ]
    return "\n".join(lines) + "\n"


def start_script(nodes: Sequence[str]) -> str:
    """A script that starts the nodes it is given, or all of its folder, in the background.

    Their logs go to node.log.
    """
    return f"""\
#!/bin/sh
# Starts this host's nodes in the background, or those that are named.
# P2PENERGY names the program if it is not on the PATH.
# To stop one: p2penergy stop --home NAME
set -eu
cd "$(dirname "$0")"
[ $# -gt 0 ] || set -- {" ".join(nodes)}
for node in "$@"; do
    nohup "${{P2PENERGY:-p2penergy}}" start --home "$node" >>"$node/node.log" 2>&1 </dev/null &
    echo "$node: pid $!, log $(pwd)/$node/node.log"
done
"""
