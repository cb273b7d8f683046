"""``--explain``, ``--steps`` and ``--from-step``: the options that ask for the steps by hand."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runbooks.errors import BadInputError

if TYPE_CHECKING:
    from runbooks.book.procedure import Procedure, Step, Trouble
    from runbooks.mailman.installation import Installation

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class ByHand:
    """How the steps by hand are wanted: printed, or run one at a time."""

    steps: bool = False
    #: the anchor, or the name, of the step to begin with
    start: str | None = None


@dataclass(frozen=True)
class PrintedSteps:
    """The steps of a procedure by hand, for one host and one set of arguments."""

    #: its name, which its anchors on the page begin with
    procedure: str
    steps: Sequence[Step]
    troubles: Sequence[Trouble] = ()
    #: asks for what a step is to be told, when it is run; see `Step.asks`
    password: Callable[[], bytes] | None = None
    #: what every step has in its environment, and the name that it has there
    secret: bytes = b""
    variable: str = ""
    #: what was typed, without ``runbook``
    typed: Sequence[str] = field(
        default_factory=lambda: tuple(click.get_current_context().find_root().obj or ())
    )

    @classmethod
    def of(
        cls, procedure: Procedure[Installation, Any], steps: Sequence[Step], **more: Any
    ) -> PrintedSteps:
        """`steps` of a procedure. `more`: other members."""
        return cls(procedure.name, steps, procedure.troubles, **more)


_explain = click.option(
    "--explain",
    is_flag=True,
    help="Print the steps by hand instead, for this host, ready to paste.",
)
_steps = click.option(
    "--steps",
    is_flag=True,
    help="Run the steps by hand on the host instead, as printed, one at a time. With --yes, run"
    " them all, and stop at the first that does not print what the page shows.",
)
_from_step = click.option(
    "--from-step",
    metavar="STEP",
    help="With --steps, begin with this step: its anchor on the page.",
)


def options(function: F) -> F:
    """The three options. The command gets one parameter ``by_hand``: a `ByHand`, or None."""

    @functools.wraps(function)
    def collected(
        *args: Any, explain: bool, steps: bool, from_step: str | None, **others: Any
    ) -> object:
        if explain and steps:
            raise BadInputError("--explain prints the steps and --steps runs them: choose one")
        if from_step is not None and not steps:
            raise BadInputError("--from-step is for --steps: add it")
        if steps and others.get("dry_run"):
            raise BadInputError(
                "--steps runs the steps: leave out --dry-run, or print them with --explain"
            )
        wanted = ByHand(steps, from_step) if explain or steps else None
        return function(*args, by_hand=wanted, **others)

    decorated: Any = collected
    for option in (_from_step, _steps, _explain):
        decorated = option(decorated)
    result: F = decorated
    return result
