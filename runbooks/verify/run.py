"""Holds the page against a server, step by step, and changes nothing there.

What a step needs is read from its own command (`table`) and asked of the server. A step that only
looks is run as it is printed, where what it looks at is there. One that calls a function of a
pasted script is rehearsed on copies of the lists (`rehearsal`).
"""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from runbooks.book import expected, records
from runbooks.book.procedure import File, Procedure, Step, anchor, paste
from runbooks.book.records import Standing
from runbooks.book.shell import split
from runbooks.mailman.documented import INSTALLATION
from runbooks.mailman.installation import Installation
from runbooks.mailman.printed import steps_of, text_of
from runbooks.mailman.stepping import OnHost
from runbooks.mailman.target import Target
from runbooks.mailman.truth import Look, Shell, Truth, is_entry
from runbooks.mailman.work import Watch
from runbooks.procedures import find
from runbooks.verify import rehearsal, table
from runbooks.verify.here import Here, look
from runbooks.verify.needs import Answer, Cause, Findings, Need, fact
from runbooks.verify.rehearsal import Call, call_of, scripts_of
from runbooks.verify.result import DIFFERS, StepResult


@dataclass(frozen=True)
class Report:
    """What became of the page on a server."""

    found: Installation
    when: datetime
    results: tuple[StepResult, ...]
    #: the hash of the text of each procedure, by its name
    texts: dict[str, str]
    #: what else is worth knowing, a line each
    notes: tuple[str, ...] = ()

    @property
    def holding(self) -> int:
        return sum(one.state != DIFFERS for one in self.results)

    def of(self, procedure: str) -> list[StepResult]:
        return [one for one in self.results if one.procedure == procedure]


@dataclass
class _Checked:
    """A step, and what is known of it so far."""

    procedure: Procedure[Installation, Any]
    step: Step
    needs: list[Need] = field(default_factory=list)
    moot: list[str] = field(default_factory=list)
    #: the call that it makes, where it is one of a pasted script
    call: Call | None = None
    more: list[Cause] = field(default_factory=list)


def number_of_steps(procedures: Sequence[Procedure[Installation, Any]]) -> int:
    """How many steps there are."""
    return sum(len(steps_of(procedure)) for procedure in procedures)


def verify(
    found: Installation, procedures: Sequence[Procedure[Installation, Any]], watch: Watch
) -> Report:
    """Hold procedures against a server. `watch` is told of each step that is done."""
    target = Target.of(found)
    shell = OnHost(found).ask
    all_steps = [
        step
        for procedure in procedures
        for one in (procedure, *_before(procedure))
        for step in steps_of(one, found.version)
    ]
    addresses = _addresses(all_steps)
    here = look(target, INSTALLATION, addresses)
    findings = Findings()
    results: list[StepResult] = []
    for procedure in procedures:
        steps = steps_of(procedure, found.version)
        scripts = scripts_of(steps)
        checked = [_needs(procedure, step, scripts, here) for step in steps]
        findings.find_out([need for one in checked for need in one.needs], shell)
        _run_what_looks(checked, here, findings, shell)
        _rehearse(procedure, checked, target, here, shell, addresses)
        for one in checked:
            results.append(_result(one, findings))
            watch.advance(1)
    return Report(
        found,
        datetime.now(timezone.utc).replace(microsecond=0),
        tuple(results),
        {procedure.name: text_of(procedure) for procedure in procedures},
        tuple(_notes(found, procedures)),
    )


def _before(procedure: Procedure[Installation, Any]) -> list[Procedure[Installation, Any]]:
    """The procedure that leaves what this one begins with."""
    return [find(procedure.after)] if procedure.after else []


def _addresses(all_steps: Sequence[Step]) -> set[str]:
    """Of which each list has to say whether it refuses them."""
    parts = [part for step in all_steps for part in expected.placeholders(step.shows)]
    entries = {word for part in parts for word in part.of if is_entry(word)}
    return {entry for entry in entries if not entry.startswith("^")}


# -- what a step needs --------------------------------------------------------------------------


def _needs(
    procedure: Procedure[Installation, Any], step: Step, scripts: Collection[str], here: Here
) -> _Checked:
    checked = _Checked(procedure, step)
    for simple in split(step.command):
        checked.needs += table.needs_of(simple, here, checked.moot)
        checked.call = call_of(simple, scripts) or checked.call
    if step.creates is not None:
        checked.needs += _domains(step.creates, here)
        if step.creates.path.endswith(".py"):
            checked.needs += _beside_withlist(step.creates, here)
    return checked


def _domains(file: File, here: Here) -> Iterator[Need]:
    """A list that the file declares for a site gets the mail domain that the page has for it."""
    for page in here.page.sites:
        site = here.site(page.site_dir or "")
        is_declared = f"@{page.name}'" in file.content
        if is_declared and site and site.mail_domain != page.mail_domain:
            yield fact(
                f"the mail domain of the site {page.name} is {site.mail_domain}, and the page"
                f" says {page.mail_domain}",
                "correct doc/site.toml if this server is right, or its mm_cfg.py if the page is",
            )


def _beside_withlist(file: File, here: Here) -> Iterator[Need]:
    """``withlist`` is there; only root may write there; the file is not another's."""
    folder, name = posixpath.split(file.path)
    there = table.programs(here)
    yield there
    parents = [folder]
    while parents[-1] != "/":
        parents.append(posixpath.dirname(parents[-1]))
    loose = r"\( ! -user 0 -o -perm -002 ! -perm -1000 -o -perm -020 ! -group 0 \)"
    yield Need(
        f"find -H {shlex.join(parents)} -maxdepth 0 {loose}",
        lambda answer: _loose(folder, answer),
        "whoever can write there decides what runs as Mailman's user: chmod go-w, chown root",
        (there,),
    )
    yield Need(
        f"if [ -e {shlex.quote(file.path)} ]; then cat {shlex.quote(file.path)}; fi",
        lambda answer: (
            f"there is a {name} with another text, which this step would replace"
            if answer.status or answer.text not in ("", file.content)
            else ""
        ),
        f"see whose it is before you paste: {file.path}",
        (there,),
    )


def _loose(folder: str, answer: Answer) -> str:
    if answer.status:
        return f"nobody can tell who may write in {folder}: find says {answer.said}"
    found = answer.text.splitlines()
    return f"others than root may write in {', '.join(found)}" if found else ""


# -- what is tried ------------------------------------------------------------------------------


def _run_what_looks(
    checked: Sequence[_Checked], here: Here, findings: Findings, shell: Shell
) -> None:
    """Run the steps that only look, where what they look at is there."""
    for one in checked:
        if not one.step.looks or findings.causes(one.needs):
            continue
        now = Look(here.found, shell).know(here.lists.values())
        truth = Truth(here.found, now, now, now)
        lines = expected.judged(one.step.shows, "", truth)
        if untrue := next((line.text for line in lines if line.sign == "!"), ""):
            one.moot.append(untrue.partition(": ")[0])
            continue
        if fault := expected.fault(
            one.step.shows, shell(f"( {one.step.command}\n) 2>&1 || :"), truth
        ):
            one.more.append(Cause(f"it does not print what the page shows: {fault}", ""))


def _rehearse(
    procedure: Procedure[Installation, Any],
    checked: Sequence[_Checked],
    target: Target,
    here: Here,
    shell: Shell,
    addresses: set[str],
) -> None:
    """Go through the steps that call a pasted script, on copies of the lists."""
    before = [
        call
        for one in _before(procedure)
        for call in _calls(steps_of(one, here.found.version))
        if _can_be_called(call, here)
    ]
    mine = [one for one in checked if one.call and _can_be_called(one.call, here)]
    calls = [*before, *(one.call for one in mine if one.call)]
    if not mine:
        return
    folders = {call.site_dir for call in calls}
    sites = tuple(site for site in here.found.sites if site.site_dir in folders)
    scripts = scripts_of(step for one in (procedure, *_before(procedure)) for step in steps_of(one))
    on = Target(target.installation, sites, jobs=target.jobs)
    came = rehearsal.rehearse(on, here, shell, calls, scripts, addresses, len(before))
    for number, one in enumerate(mine, len(before)):
        if fault := came.fault(number, one.step.shows):
            one.more.append(
                Cause(f"run on copies, it does not print what the page shows: {fault}", "")
            )


def _calls(all_steps: Sequence[Step]) -> list[Call]:
    scripts = scripts_of(all_steps)
    found = [call_of(one, scripts) for step in all_steps for one in split(step.command)]
    return [call for call in found if call]


def _can_be_called(call: Call, here: Here) -> bool:
    """Whether the site has the list, and all of its lists can be copied as they are."""
    site = here.site(call.site_dir)
    if site is None or site.name in here.broken:
        return False
    return bool(here.of(site)) if call.list is None else (site.name, call.list) in here.lists


# -- what came of it ----------------------------------------------------------------------------


def _result(one: _Checked, findings: Findings) -> StepResult:
    causes = [*findings.causes(one.needs), *one.more]
    return StepResult(
        one.procedure.name,
        anchor(one.procedure.name, one.step.name),
        paste(one.step),
        tuple(causes),
        "" if causes else "; ".join(dict.fromkeys(one.moot)),
    )


def _notes(
    found: Installation, procedures: Sequence[Procedure[Installation, Any]]
) -> Iterator[str]:
    """What is said of the server, and of records of the text, whatever holds."""
    sites = {site.site_dir for site in found.sites}
    if not sites & {site.site_dir for site in INSTALLATION.sites}:
        theirs = " and ".join(site.prefix for site in INSTALLATION.sites)
        ours = " and ".join(site.prefix for site in found.sites)
        yield f"this page is about other sites: about {theirs}, and here is {ours}"
    if found.note:
        yield f"Mailman here is the {found.note}, not GNU Mailman"
        return
    runs = records.read(records.SHIPPED)
    without = [
        procedure.name
        for procedure in procedures
        if not any(
            one.mailman == found.version and one.standing is Standing.PASSED
            for one in records.of_procedure(runs, procedure.name, text_of(procedure))
        )
    ]
    if without:
        yield (
            f"this text has not passed on GNU Mailman {found.version} in a test:"
            f" {', '.join(without)}"
        )
