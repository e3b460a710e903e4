"""Groups of subcommands whose help says of each one a whole sentence.

What lives here: the list of subcommands for `--help`. What never does: any command.
"""

import click

SENTENCE_CHARS_MAX = 200
"""Of a command's first sentence in the list of all."""


class Group(click.Group):
    """As click's own, which cuts sentences to the width of a line."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list for `--help`, each command with its first sentence, never cut."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (name, command.get_short_help_str(SENTENCE_CHARS_MAX))
                    for name, command in commands
                    if command
                ]
            )
