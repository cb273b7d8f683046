"""A list server of which a few things are known, to judge by what was printed there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.book.expected import Part, Untrue


class Known:
    """The lists by their names, with their owners; `values`: what else is true, by placeholder."""

    def __init__(self, owners: Mapping[str, str], **values: str) -> None:
        self.owners = owners
        self.values = {"LISTS": str(len(owners)), **values}

    def subjects(self, part: Part) -> Sequence[tuple[str, str]]:
        return [(name, name) for name in self.owners if part.name == "LIST"]

    def value(self, part: Part, subject: str | None) -> str:
        match part.name, part.of:
            case "OWNERS", ():
                return self.owners[subject or ""]
            case "TO_BAN", (address,):
                return address
            case name, () if name in self.values:
                return self.values[name]
        raise Untrue(f"nothing is {part.name}")
