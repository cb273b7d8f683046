"""``runbook new-page``: what it writes, what it asks, and that it writes all or nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from runbooks import cli
from runbooks.book import whose as book
from runbooks.book.tables import load
from runbooks.book.whose import Whose
from runbooks.errors import BadInputError
from runbooks.new_page import project, requirement
from runbooks.new_page.sitetoml import render
from runbooks.practice.site import SITES, create
from runbooks.procedures import all_procedures
from tests.support.acme import OPTIONS, make_package
from tests.support.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]

#: Where the package has the pages that every team has.
SHARED_PAGES = ROOT / "runbooks" / "sphinxext" / "files" / "pages"


@dataclass(frozen=True)
class Done:
    """What came of a command."""

    status: int
    said: str
    complained: str


@pytest.fixture
def new_page(tmp_path, monkeypatch, capsys) -> Callable[..., Done]:
    """Runs the command in an empty folder; a package of somebody else's is installed."""
    monkeypatch.syspath_prepend(make_package(tmp_path / "packages"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    # What one who runs the tests has.
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*words: str) -> Done:
        status = cli.run(["new-page", *words])
        return Done(status, *capsys.readouterr())

    return run


def read(folder: Path) -> Whose:
    """What the file of a page says, as the page itself reads it."""
    return load(Whose, folder / "doc" / "site.toml", book.check_together)


def instead(option: str, *value: str) -> list[str]:
    """The options, with another value for one of them, or without it."""
    at = OPTIONS.index(option)
    return [*OPTIONS[:at], *(word for one in value for word in (option, one)), *OPTIONS[at + 2 :]]


# -- what is written ------------------------------------------------------------------------


def test_it_writes_a_project_and_names_its_files(new_page, tmp_path):
    done = new_page("acme", *OPTIONS)
    assert (done.status, done.complained) == (0, "")
    folder = tmp_path / "here" / "acme"
    there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    said = {line.strip() for line in done.said.splitlines() if line.startswith("  ")}
    assert said - {"cd acme && tox"} == there
    assert {"doc/site.toml", "doc/source/lists.rst", "tox.ini", ".zuul.yaml"} <= there
    assert [path.name for path in folder.parent.iterdir()] == ["acme"]
    assert folder.stat().st_mode & 0o777 == 0o755
    for path in (".zuul.yaml", ".github/workflows/page.yaml"):
        assert yaml.safe_load((folder / path).read_text(encoding="utf-8"))
    assert not [path for path in there if "@PRO" in (folder / path).read_text(encoding="utf-8")]


def test_its_names_are_those_that_were_given(new_page, tmp_path):
    assert new_page("acme", *OPTIONS).status == 0
    found = read(tmp_path / "here" / "acme")
    assert [(site.name, site.domain, site.lists) for site in found.sites] == [
        ("acme", "lists.acme.example", ("announce", "users")),
        ("beta", "lists.beta.example", ("beta-users",)),
        ("gamma", "lists.gamma.example", ("gamma-dev", "gamma-users")),
    ]
    assert found.server == book.Server(
        "lists.acme.example", "lists", "UTC", 'Acme "and" its neighbours'
    )
    assert found.manifest == book.Manifest(
        "modules/acme/manifests/lists.pp",
        "acme/hosts",
        "https://git.acme.example/acme/hosts",
        "/opt/hosts",
    )
    assert found.examples.list == "acme-foo"
    assert found.procedures == ()


def test_the_example_is_no_list_that_there_is(new_page, tmp_path):
    options = instead("--site", "acme=lists.acme.example:acme-foo,acme-bar")
    assert new_page("acme", *options).status == 0
    assert read(tmp_path / "here" / "acme").examples.list == "acme-example"


def test_a_page_may_have_some_procedures_and_one_of_its_own(new_page, tmp_path):
    done = new_page("acme", *OPTIONS, "--procedure", "clear_lock", "--procedure", "acme.freeze")
    assert done.status == 0, done.complained
    folder = tmp_path / "here" / "acme"
    assert read(folder).procedures == ("clear_lock", "acme.freeze")
    page = (folder / "doc/source/lists.rst").read_text(encoding="utf-8")
    directives = [line for line in page.splitlines() if line.startswith(".. procedure:: ")]
    assert directives == [".. procedure:: clear-lock", ".. procedure:: freeze"]
    assert "Holding Every Post\n==================\n" in page
    # What it depends on has the procedure in it.
    assert "\n    acme-freeze\n" in (folder / "tox.ini").read_text(encoding="utf-8")


def test_what_is_written_is_read_as_it_was(tmp_path):
    """Of our own page, with all keys."""
    ours = book.whose.__wrapped__()
    names = tuple(f"list-{number}" for number in range(9))
    sites = (replace(ours.sites[0], lists=names), *ours.sites[1:])
    for page in (ours, replace(ours, sites=sites, procedures=("ban", "acme.freeze"))):
        path = tmp_path / "site.toml"
        path.write_text(render(page), encoding="utf-8")
        assert load(Whose, path, book.check_together) == page


def test_our_own_page_is_one_like_it():
    """The template has the sentences of our page, and every procedure where it has it."""
    ours = (ROOT / "doc/source/lists.rst").read_text(encoding="utf-8")
    template = (project.FILES / "lists.rst").read_text(encoding="utf-8")
    assert template.replace("@PROCEDURES@", project.procedures(())) == ours
    assert ours.count(".. procedure:: ") == len(all_procedures())
    assert {*project.SHARED} == {path.stem for path in SHARED_PAGES.iterdir()}
    for name in project.SHARED:
        text = f".. shared-page:: {name}\n"
        assert (ROOT / f"doc/source/{name}.rst").read_text(encoding="utf-8") == text


def test_sites_lists_and_paths_are_those_of_a_host(new_page, tmp_path):
    spec = create(tmp_path / "practice").spec
    options = [word for word in OPTIONS if word != "--site" and "=lists." not in word]
    done = new_page("acme", *options, "--host", spec)
    assert done.status == 0, done.complained
    found = read(tmp_path / "here" / "acme")
    assert {site.name: {*site.lists} for site in found.sites} == {
        name: {*lists} for name, lists in SITES.items()
    }
    assert found.mailman.sites == str(tmp_path / "practice/srv/mailman")
    assert found.mailman.programs == str(tmp_path / "practice/bin")


# -- what it depends on ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("mailman2-runbooks>=1.1", "mailman2-runbooks[testing]>=1.1"),
        ("git+https://a.b/c@main", "mailman2-runbooks[testing] @ git+https://a.b/c@main"),
        (str(ROOT), f"mailman2-runbooks[testing] @ {ROOT.as_uri()}"),
    ],
)
def test_the_package_is_where_one_says(spec, wanted):
    assert requirement.of_package(spec) == wanted


@pytest.mark.parametrize("spec", ["/nowhere/at/all", "not a requirement", ""])
def test_a_package_that_nothing_could_install_is_refused(spec):
    with pytest.raises(BadInputError, match=r"^--package: "):
        requirement.of_package(spec)


@pytest.mark.parametrize(
    ("origin", "wanted"),
    [
        (None, "mailman2-runbooks[testing]"),
        (
            {"url": "file:///srv/src", "dir_info": {"editable": True}},
            "mailman2-runbooks[testing] @ file:///srv/src",
        ),
        (
            {"url": "https://a.b/c", "vcs_info": {"vcs": "git", "commit_id": "4f9a"}},
            "mailman2-runbooks[testing] @ git+https://a.b/c@4f9a",
        ),
    ],
)
def test_without_that_it_is_where_it_was_installed_from(tmp_path, monkeypatch, origin, wanted):
    installed = tmp_path / "mailman2_runbooks-1.0.dist-info"
    installed.mkdir()
    text = "Metadata-Version: 2.1\nName: mailman2-runbooks\nVersion: 1.0\n"
    (installed / "METADATA").write_text(text)
    if origin is not None:
        (installed / "direct_url.json").write_text(json.dumps(origin))
    monkeypatch.syspath_prepend(tmp_path)
    assert requirement.of_package(None) == wanted


# -- what will not do -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["acme", *instead("--server", "lists")], "--server: 'lists' is not a full domain name"),
        (["acme", *instead("--serves", " ")], "--serves: ' ' is empty, or has a blank"),
        (["acme", *instead("--site", "acme")], "--site: 'acme' is not like acme=lists.acme.exam"),
        (["acme", *instead("--site", "a=b:c")], "--site: 'b' is not a full domain name"),
        (["acme", *instead("--site", "A=b.c:d")], "--site: 'A' cannot be a site"),
        (["acme", *instead("--site", "a=b.c:d e")], "--site: 'd e' cannot be the name of a list"),
        (["acme", *instead("--site", "a=b.c:d,")], "--site: '' "),
        (["acme", *instead("--site", "a=b.c:d,d")], "sites.lists: 'd': it is there twice"),
        (["acme", *OPTIONS, "--site", "acme=b.c:d"], "sites.name: another site has 'acme'"),
        (["acme", *instead("--repository", "hosts")], "--repository: 'hosts' is no address"),
        (["acme", *instead("--repository", "https://a.b")], "names a server and no repository"),
        (["acme", *instead("--manifest", "lists.pp")], "--manifest: 'lists.pp' is no class"),
        (["acme", *OPTIONS, "--hostname", "a b"], "--hostname: 'a b' cannot be what a host calls"),
        (["acme", *OPTIONS, "--time-zone", "Atlantis"], "there is no time zone 'Atlantis'"),
        (["acme", *OPTIONS, "--procedure", "bam"], "there is no folder 'bam'; did you mean ban?"),
        (["acme", *OPTIONS, "--procedure", "acme.x"], "acme.x.page cannot be imported: No module"),
        (["acme", *OPTIONS, "--procedure", "email.mime"], "email.mime.page cannot be imported"),
        (["acme", *OPTIONS, "--procedure", "ban", "--procedure", "ban"], "'ban' is there twice"),
        (["acme", *OPTIONS, "--host", "practice:/x"], "--host and --site cannot be combined"),
        (["nowhere/acme", *OPTIONS], "'nowhere/acme' cannot be made: it would be in no folder"),
        (["..", *OPTIONS], "'..' is not empty: name a folder that is new"),
        (["/etc/passwd", *OPTIONS], "'/etc/passwd' cannot be made: Not a directory"),
        (["acme", "--server", "a.b", *OPTIONS[-4:]], "add --serves, --site"),
        (["acme", *instead("--manifest")], "nobody can be asked: add --manifest"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(new_page, tmp_path, words, said):
    done = new_page(*words)
    assert (done.status, done.said) == (2, ""), done
    assert done.complained.startswith("runbook: ")
    assert done.complained.count("\n") == 1
    assert said in done.complained
    assert not [*(tmp_path / "here").iterdir()]


def test_a_folder_that_is_there_and_empty_will_do(new_page, tmp_path):
    (tmp_path / "here" / "acme").mkdir()
    assert new_page("acme", *OPTIONS).status == 0
    again = new_page("acme", *OPTIONS)
    assert again.status == 2
    assert "is not empty" in again.complained


@pytest.mark.parametrize("problem", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_what_stops_half_way_leaves_nothing(tmp_path, monkeypatch, problem):
    written = []

    def write_text(self: Path, text: str, encoding: str) -> None:
        if len(written) == 2:
            raise problem
        written.append(self)
        self.write_bytes(text.encode(encoding))

    monkeypatch.setattr(Path, "write_text", write_text)
    with pytest.raises((KeyboardInterrupt, BadInputError)):
        project.write(tmp_path / "acme", dict.fromkeys("abcd", "text"))
    assert len(written) == 2
    assert not [*tmp_path.iterdir()]


def test_what_somebody_else_wrote_meanwhile_stays(tmp_path, monkeypatch):
    folder = tmp_path / "acme"
    chmod = Path.chmod

    def interfere(self: Path, mode: int) -> None:
        chmod(self, mode)
        folder.mkdir()
        (folder / "theirs").touch()

    monkeypatch.setattr(Path, "chmod", interfere)
    with pytest.raises(BadInputError, match="cannot be made: Directory not empty"):
        project.write(folder, {"ours": "text"})
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == [
        "acme",
        "acme/theirs",
    ]


# -- a person at a terminal -----------------------------------------------------------------


def test_a_person_is_asked_for_what_is_missing(tmp_path):
    folder = tmp_path / "acme"
    words = ["new-page", str(folder), "--serves", "Acme", "--package", "mailman2-runbooks"]
    terminal = Terminal(words)
    terminal.until("A site, like acme=")
    terminal.type("acme")
    terminal.until("warning: 'acme' is not like")
    terminal.until("A site, like acme=")
    terminal.type("acme=lists.acme.example:announce,users")
    terminal.until("Another one, or nothing:")
    terminal.type("beta=lists.beta.example:all")
    terminal.until("Another one, or nothing:")
    terminal.type("")
    terminal.until("The host that readers log in to")
    terminal.type("lists.acme.example")
    terminal.until("The address of the repository")
    terminal.type("https://git.acme.example/acme/hosts")
    terminal.until("The manifest in it [modules/acme/manifests/lists.pp]:")
    terminal.type("")
    terminal.until("&& tox")
    assert terminal.end() == 0
    found = read(folder)
    assert [site.name for site in found.sites] == ["acme", "beta"]
    assert found.manifest.file == "modules/acme/manifests/lists.pp"


def test_ctrl_c_at_a_question_writes_nothing(tmp_path):
    terminal = Terminal(["new-page", str(tmp_path / "acme")])
    terminal.until("A site, like acme=")
    terminal.interrupt()
    terminal.until("interrupted; nothing was changed")
    assert terminal.end() == 2
    assert not [*tmp_path.iterdir()]
