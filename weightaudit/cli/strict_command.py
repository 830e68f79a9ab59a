"""Commands of which each option has one meaning: one value, or as many as it is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import typer
from typer.core import TyperCommand

from weightaudit.config import AuditConfig
from weightaudit.options import options_of


class OnceCommand(TyperCommand):
    """A command that refuses an option of one value that is given twice, and so a flag that has an opposite
    (``--x/--no-x``): the last would win in silence.

    A flag that may have a value (`Option.may_have`) takes the word behind it only where it is one of its own, so that
    ``scan --spectrum gpt2`` scans gpt2.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command. Ends with wrong usage where an option of one value is repeated; while a shell
        completes them nothing is wrong yet.
        """
        args = list(with_values(args, self._flags_with_words()))
        if ctx.resilient_parsing:
            return super().parse_args(ctx, args)
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        for option, times in Counter(order).items():
            single = option.param_type_name == "option" and not option.multiple
            opposite = "".join(f" or '{form}'" for form in option.secondary_opts[:1])
            if times > 1 and single and (opposite or not getattr(option, "is_flag", False)):
                ctx.fail(f"Option '{option.opts[0]}'{opposite} was given {times} times, and takes one value.")
        return super().parse_args(ctx, args)

    def _flags_with_words(self) -> dict[str, tuple[str, ...]]:
        """The words that may follow such flags, by each of their names."""
        known = options_of(AuditConfig)
        return {
            name: known[option.name].may_have
            for option in self.params
            if option.name in known and known[option.name].may_have
            for name in option.opts
        }


def command_of(function: Callable[..., None], **about: Any) -> Any:
    """Make the command that runs ``function``, with the options of its signature; ``about`` is what typer is told."""
    single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    single.command(cls=OnceCommand, **about)(function)
    return typer.main.get_command(single)


def with_values(args: Sequence[str], flags: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """``args``, each of the ``flags`` in one word with its value: the next word where it is one of its own, else yes.

    Example:
        >>> list(with_values(["--spectrum", "gpt2", "--spectrum", "full"], {"--spectrum": ("full",)}))
        ['--spectrum=yes', 'gpt2', '--spectrum=full']
    """
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            break
        if word not in flags:
            yield word
        elif left and left[0].lower() in flags[word]:
            yield f"{word}={left.pop(0)}"
        else:
            yield f"{word}=yes"
    else:
        return
    yield from (word, *left)
