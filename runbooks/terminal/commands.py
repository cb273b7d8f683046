"""A group of commands that knows what a mistyped name may mean."""

from __future__ import annotations

from collections.abc import Iterable

import click

from runbooks.errors import did_you_mean, short


def unknown_command(name: str, known: Iterable[str], ctx: click.Context) -> click.UsageError:
    """The error for a command that is not there, with the name that was perhaps meant."""
    return click.UsageError(f"there is no command {short(name)}{did_you_mean(name, known)}", ctx)


class Commands(click.Group):
    """A group of commands."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        # What begins with a dash is an option, about which click complains.
        is_other = args[0].startswith("-") or ctx.resilient_parsing
        if not is_other and self.get_command(ctx, args[0]) is None:
            raise unknown_command(args[0], self.list_commands(ctx), ctx)
        return super().resolve_command(ctx, args)
