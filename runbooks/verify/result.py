"""What became of each step: for a person, for programs, and for who collects test reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from xml.etree import ElementTree

from runbooks.verify.needs import Cause

HOLDS, DIFFERS, NOT_RUN = "holds", "differs", "not run"


@dataclass(frozen=True)
class StepResult:
    """One step of a procedure, held against a server."""

    procedure: str
    #: of the step on the page
    anchor: str
    #: as it is printed
    command: str
    #: why it does not hold; nothing where it does
    causes: tuple[Cause, ...] = ()
    #: all that it needs is there, and it was not run: why
    not_run: str = ""

    @property
    def state(self) -> str:
        if self.causes:
            return DIFFERS
        return NOT_RUN if self.not_run else HOLDS

    @property
    def why(self) -> str:
        if self.causes:
            return "; ".join(cause.why for cause in self.causes)
        return f"checked, not run: {self.not_run}" if self.not_run else ""

    def as_json(self) -> dict[str, object]:
        return {
            "procedure": self.procedure,
            "anchor": self.anchor,
            "state": self.state,
            "why": self.why,
            "causes": [asdict(cause) for cause in self.causes],
            "command": self.command,
        }


def junit(results: Sequence[StepResult], host: str) -> str:
    """The results as JUnit has them: a suite for each procedure, a case for each step."""
    suites = ElementTree.Element("testsuites", name=f"runbook verify on {host}")
    for procedure in dict.fromkeys(one.procedure for one in results):
        mine = [one for one in results if one.procedure == procedure]
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            name=procedure,
            tests=str(len(mine)),
            failures=str(sum(one.state == DIFFERS for one in mine)),
            skipped=str(sum(one.state == NOT_RUN for one in mine)),
            hostname=host,
        )
        for one in mine:
            case = ElementTree.SubElement(
                suite, "testcase", name=one.anchor, classname=f"verify.{procedure}"
            )
            if one.state == DIFFERS:
                failure = ElementTree.SubElement(case, "failure", message=one.why)
                helps = dict.fromkeys(cause.help for cause in one.causes if cause.help)
                failure.text = "\n".join((f"$ {one.command}", one.why, *helps))
            elif one.state == NOT_RUN:
                ElementTree.SubElement(case, "skipped", message=one.why)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"
