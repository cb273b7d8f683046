"""A list on its way into a manifest."""

from __future__ import annotations

from dataclasses import dataclass

from runbooks.add_list import rules as new_list
from runbooks.add_list.check import Wanted
from runbooks.add_list.manifest import file as manifest_file
from runbooks.add_list.manifest.file import ManifestFile
from runbooks.add_list.manifest.insertion import Insertion, MailList, Value
from runbooks.errors import BadInputError


@dataclass(frozen=True)
class Edit:
    """A list on its way into a manifest."""

    file: ManifestFile
    wanted: Wanted
    insertion: Insertion
    text: str

    @property
    def lines(self) -> tuple[int, int]:
        """The first and the last line of the new resource."""
        count = len(self.insertion.text.strip().split("\n"))
        return self.insertion.line, self.insertion.line + count - 1


def edit(
    file: ManifestFile, wanted: Wanted, site: str | None = None, class_name: str | None = None
) -> Edit:
    """The manifest with the list in it. Writes nothing.

    Raises BadInputError: the list, or one of its addresses, is there already; there is no
    place for it; a site or a class has to be named.
    """
    admin, description = wanted.admin, wanted.description
    assert isinstance(admin, str)
    assert isinstance(description, str)
    manifest = file.manifest
    there = [entry.name for entry in manifest.lists if entry.site == site]
    new_list.check_free(wanted.name, there, file.path)
    try:
        new = manifest.insertion(
            wanted.name, admin=admin, description=description, site=site, class_name=class_name
        )
    except BadInputError as e:
        option = ""
        if str(e).endswith("name the site"):
            option = ": --site SITE"
        elif str(e).endswith("name the class"):
            option = ": --class NAME"
        raise BadInputError(f"{file.path}: {e}{option}") from None
    text = manifest.text[: new.offset] + new.text + manifest.text[new.offset :]
    return Edit(file, wanted, new, text)


def apply(planned: Edit) -> manifest_file.Judgement:
    """Write the manifest and have Puppet read it; what it is not able to read is taken back.

    Raises BadInputError; then the file is as it was.
    """
    planned.file.write(planned.text)
    try:
        judged = manifest_file.validate(planned.file.target)
    except KeyboardInterrupt:
        planned.file.put_back(planned.text)
        raise
    if judged.problems:
        planned.file.put_back(planned.text)
        before = manifest_file.validate(planned.file.target)
        already = "; it did not read the file before either" if before.problems else ""
        raise BadInputError(
            f"{planned.file.path}: with the list in it, puppet parser validate says:"
            f" {judged.problems[0]}{already}; the file was put back as it was"
        )
    return judged


def declared(file: ManifestFile, name: str, site: str | None) -> tuple[Wanted, str | None]:
    """How the manifest wants a list to be, and the site that it names, if it does.

    `site`: the one that is meant, where several have a list of that name. Raises BadInputError.
    """
    found = [e for e in file.manifest.lists if e.name.lower() == name]
    if not found:
        raise BadInputError(f"{file.path} has no list {name}")
    here = [e for e in found if site is None or e.site in (None, site)]
    if not here:
        raise BadInputError(f"{file.path} has the list {name} for another site: {found[0].site}")
    if len(here) > 1:
        sites = ", ".join(sorted(e.site or "no site" for e in here))
        raise BadInputError(f"{file.path} has several lists {name} ({sites}): name the site")
    entry = here[0]
    if not entry.present:
        raise BadInputError(f"{file.path}, line {entry.line}: {name} is not to be present")
    return _declared(entry, name), entry.site


def _declared(entry: MailList, name: str) -> Wanted:
    values: dict[str, str | Value | None] = {}
    for attribute in ("admin", "description", "mailserver", "webserver"):
        value = entry.attributes.get(attribute)
        values[attribute] = value.text if value is not None and value.text is not None else value
    return Wanted(
        name,
        admin=values["admin"],
        description=values["description"],
        mail_host=values["mailserver"],
        web_host=values["webserver"],
        by_maillist=entry.site is None,
    )
