"""The command line `p2penergy`: one program, every job a subcommand.

What lives here: the root command and the list of subcommands, each imported only when it is called,
so that `p2penergy --help` is instant. What never does: the work itself.
"""

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from p2penergy.cli.errors import UserError
from p2penergy.cli.groups import Group

_COMMANDS = {
    "agent": "p2penergy.cli.agent",
    "audit": "p2penergy.cli.audit",
    "bill": "p2penergy.cli.bill",
    "ca": "p2penergy.cli.ca",
    "committee": "p2penergy.cli.committee",
    "contract": "p2penergy.cli.contract",
    "demo": "p2penergy.cli.demo",
    "deploy": "p2penergy.cli.deploy",
    "doctor": "p2penergy.cli.doctor",
    "export": "p2penergy.cli.portable",
    "genesis": "p2penergy.cli.about",
    "history": "p2penergy.cli.history",
    "import": "p2penergy.cli.portable",
    "import-csv": "p2penergy.cli.import_csv",
    "init": "p2penergy.cli.init",
    "join": "p2penergy.cli.join",
    "leave": "p2penergy.cli.membership",
    "liveness": "p2penergy.cli.liveness",
    "market": "p2penergy.cli.market",
    "meter": "p2penergy.cli.meter",
    "offer": "p2penergy.cli.offer",
    "order": "p2penergy.cli.order",
    "peers": "p2penergy.cli.asking",
    "renew": "p2penergy.cli.join",
    "reset": "p2penergy.cli.portable",
    "score": "p2penergy.cli.wallet",
    "simulate": "p2penergy.cli.simulate",
    "snapshot": "p2penergy.cli.snapshot",
    "start": "p2penergy.cli.start",
    "status": "p2penergy.cli.asking",
    "stop": "p2penergy.cli.stop",
    "testnet": "p2penergy.cli.testnet",
    "trade": "p2penergy.cli.trade",
    "try-trade": "p2penergy.cli.try_trade",
    "version": "p2penergy.cli.about",
    "volunteer": "p2penergy.cli.membership",
    "wallet": "p2penergy.cli.wallet",
}
"""Name of each command -> the module that holds it, under that name or `NAME_command`."""


class _Lazy(Group):
    """A group whose commands are modules, each with a command of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all subcommands, ascending."""
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of one subcommand."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(_COMMANDS[cmd_name])
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(module, f"{name}_command", None) or getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; of an unknown one the nearest is named."""
        near = get_close_matches(args[0], _COMMANDS, n=1)
        if near and args[0] not in _COMMANDS and not ctx.resilient_parsing:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand; Ctrl-C ends any of them with a sentence, at whatever moment it comes."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise UserError("Interrupted.") from None


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="p2penergy")
def main() -> None:
    """Neighbours trade solar energy: smart meters that agree by PBFT, with no central server."""
