"""Printed steps on a host: each run there as whoever logged in, as a reader would, and on record.

`runbooks.book.steps` judges what they print; `runbooks.terminal.stepped` has a reader in charge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from runbooks.book.procedure import Step
from runbooks.book.steps import Printed
from runbooks.errors import HostError
from runbooks.mailman import events, journal
from runbooks.mailman.events import Event, Recorded
from runbooks.mailman.installation import Installation

#: What the journal calls such a run. It cannot be taken back: what printed steps change is not
#: known to who runs them.
COMMAND = "steps"


@dataclass(frozen=True)
class OnHost:
    """A shell on the host, as whoever logged in has it, without any input."""

    installation: Installation

    def ask(self, command: str) -> str:
        """What a command prints that only looks. Raises HostError when it fails."""
        answer = events.Told(text="", complaint="it said nothing", status=1)
        parameters: dict[str, object] = {"action": "ask", "command": command}
        for event in self.installation.call("stepping", parameters, as_login=True):
            if isinstance(event, events.Told):
                answer = event
        if answer.status:
            last = (answer.complaint.strip().splitlines() or [f"status {answer.status}"])[-1]
            raise HostError(f"{self.installation.host.spec}: {last}")
        return answer.text


@dataclass(frozen=True)
class Secret:
    """What no record and no output shows."""

    value: bytes = b""
    #: the environment variable in which the command finds it; "": it is typed when asked for
    variable: str = ""


@dataclass
class Run:
    """A run through printed steps, on record on the host.

    `words`: the command line, for the journal. Nothing is recorded before the first step is.
    Raises `journal.JournalError` when something cannot be recorded.
    """

    installation: Installation
    words: Sequence[str]
    procedure: str
    #: what came of the steps, by their names
    came: dict[str, str] = field(default_factory=dict)
    recorded: Recorded | None = None

    def carry_out(
        self, step: Step, command: str, hear: Callable[[str], None], secret: Secret
    ) -> Printed:
        """Run `command` for `step`; `hear` gets each line as it comes.

        Ctrl-C is passed on to the command; what it has printed then has `interrupted`. Raises
        HostError and LostError, and KeyboardInterrupt when the command would not end.
        """
        lines: list[str] = []
        ended: list[events.Stepped] = []

        def listen(event: Event) -> None:
            self._heard(event)
            match event:
                case events.LinePrinted(text=text):
                    lines.append(text)
                    hear(text.rstrip())
                case events.Stepped():
                    ended.append(event)

        parameters: dict[str, object] = {
            "action": "run",
            "command": command,
            "asks": step.asks,
            "variable": secret.variable,
            "secret": len(secret.value),
            "step": {"name": step.name, "command": without_passwords(command)},
            "journal": self._journal(),
        }
        try:
            self.installation.call("stepping", parameters, listen, secret.value, as_login=True)
        except KeyboardInterrupt:
            if not ended:
                raise
        self.came[step.name] = "interrupted" if ended[0].interrupted else "run"
        return Printed("".join(lines), ended[0].status, ended[0].interrupted)

    def pass_over(self, step: Step, how: str) -> None:
        """Record of a step that nothing here ran it, and why: "by hand" or "skipped"."""
        self.came[step.name] = how
        self._note({"name": step.name, "how": how})

    def judge(self, step: Step, differs: str) -> None:
        """Record how what a step printed `differs` from the page; "" when it does not."""
        self._note({"name": step.name, "how": "judged", "differs": differs})

    def end(self, state: str) -> None:
        """Record the end, if there is anything on record. `state`: "done", or why it is not."""
        if self.recorded is not None:
            self._note(None, {"state": state, "counts": Counter(self.came.values())})

    def _note(self, step: dict[str, object] | None, end: dict[str, object] | None = None) -> None:
        parameters: dict[str, object] = {
            "action": "note",
            "step": step,
            "end": end,
            "journal": self._journal(),
        }
        self.installation.call("stepping", parameters, self._heard, as_login=True)

    def _journal(self) -> dict[str, object]:
        begun = self.recorded
        return {
            **journal.parameters(self.installation, COMMAND, self.words, procedure=self.procedure),
            "user": self.installation.user,
            "group": self.installation.group,
            "run": begun.run if begun else None,
            "room": begun.room if begun else 0,
        }

    def _heard(self, event: Event) -> None:
        if recorded := journal.heard(event):
            self.recorded = recorded
        elif why := journal.stopped_why(event):
            raise journal.JournalError(why)


_PASSWORD = re.compile(r"(--?[-a-z]*passw(?:or)?d[= ])\s*('[^']*'|\"[^\"]*\"|\S+)", re.IGNORECASE)


def without_passwords(command: str) -> str:
    """A command as it may be kept: what an option for a password is given is left out."""
    return _PASSWORD.sub(r"\1…", command)
