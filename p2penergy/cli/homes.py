"""The option that names a node's folder, the same in every command.

Lives here: the option. Never here: what is in the folder (`p2penergy.home`).
"""

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import click

P = ParamSpec("P")
R = TypeVar("R")


def home_option(command: Callable[P, R]) -> Callable[P, R]:
    """`--home DIR`, required, or the variable P2PENERGY_HOME; the argument is called `home`."""
    return click.option(
        "--home",
        required=True,
        envvar="P2PENERGY_HOME",
        show_envvar=True,
        type=click.Path(path_type=Path, file_okay=False),
        help="The node's folder.",
    )(command)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
