"""Commands of which each option has one meaning: one value, or as many as it is given."""

from __future__ import annotations

from collections import Counter
from typing import Any

from typer.core import TyperCommand


class OnceCommand(TyperCommand):
    """A command that refuses an option of one value that is given twice, and so a flag that has an opposite
    (``--x/--no-x``): the last would win in silence.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command. Ends with wrong usage where an option of one value is repeated; while a shell
        completes them nothing is wrong yet.
        """
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option, times in Counter(order).items():
            single = option.param_type_name == "option" and not option.multiple
            opposite = "".join(f" or '{form}'" for form in option.secondary_opts[:1])
            if times > 1 and single and (opposite or not getattr(option, "is_flag", False)):
                ctx.fail(f"Option '{option.opts[0]}'{opposite} was given {times} times, and takes one value.")
        return super().parse_args(ctx, args)
