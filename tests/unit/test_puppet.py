"""Mailing lists in a manifest: reading them, and adding one."""

from __future__ import annotations

import pytest

from runbooks.add_list.manifest.insertion import ListInManifest, NotUnderstood, read
from runbooks.errors import BadInputError

PAGE = """\
# == Class: lists
class lists($listpassword = '') {
  $listdomain = 'lists.example.org'

  # maillist { 'openstack-foo': ensure => present }
  maillist { 'openstack-es':
    ensure      => present,
    admin       => 'es@example.com',
    password    => $listpassword,
    description => 'Lista {de} #correo',
    webserver   => $listdomain,
    mailserver  => $listdomain,
  }

  maillist { 'openstack-old': ensure => absent }

  # Add no lists below this line
  notify { 'done': }
}
"""

SITES = """\
mailman::site { 'openstack': }
mailman::site { ['zuul', 'airship']: }

mailman_list { 'mailman@openstack':
  require     => Mailman::Site['openstack'],
  ensure      => present,
  admin       => 'nobody@openstack.org',
  password    => $listpassword,
  description => 'The mailman site list',
}
mailman_list { 'mailman@zuul':
  require     => Mailman::Site['zuul'],
  ensure      => present,
  admin       => 'nobody@zuul-ci.org',
  password    => $listpassword,
  description => 'The mailman site list',
}
"""


def add(text: str, name: str = "openstack-foo", **more: str) -> str:
    """The lines that are new, after a look that nothing else is."""
    asked = {"admin": "admin@example.com", "description": "Discussion of OpenStack Foo", **more}
    new = read(text).insertion(name, **asked)
    result = text[: new.offset] + new.text + text[new.offset :]
    lines = [number for number, line in enumerate(result.split("\n"), 1) if line.strip()]
    assert new.line in lines
    return result


def one(name: str, indent: str = "  ", *, body: str = "admin => 'x@y', password => $p") -> str:
    return f"{indent}maillist {{ '{name}': ensure => present, {body} }}\n"


def test_the_example_of_the_documentation() -> None:
    new = """
  maillist { 'openstack-foo':
    ensure      => present,
    admin       => 'admin@example.com',
    password    => $listpassword,
    description => 'Discussion of OpenStack Foo',
    webserver   => $listdomain,
    mailserver  => $listdomain,
  }
"""
    place = "  maillist { 'openstack-old': ensure => absent }\n"
    assert add(PAGE) == PAGE.replace(place, place + new)
    assert read(PAGE).insertion("a", admin="a@b", description="").line == 17


def test_what_is_read() -> None:
    first, second = read(PAGE).lists
    assert (first.title, first.name, first.site) == ("openstack-es", "openstack-es", None)
    assert first.attributes["description"].text == "Lista {de} #correo"
    assert first.attributes["password"].text is None
    assert first.attributes["password"].source == "$listpassword"
    assert first.line == 6
    assert str(first.block) == "class lists"
    assert first.present
    assert not second.present
    assert not first.conditional


def test_a_site() -> None:
    manifest = read(SITES)
    assert manifest.sites == ("airship", "openstack", "zuul")
    assert [(e.name, e.site) for e in manifest.lists] == [
        ("mailman", "openstack"),
        ("mailman", "zuul"),
    ]
    new = (
        "mailman_list { 'a@openstack':\n"
        "  require     => Mailman::Site['openstack'],\n"
        "  ensure      => present,\n"
        "  admin       => 'admin@example.com',\n"
        "  password    => $listpassword,\n"
        "  description => 'Discussion of OpenStack Foo',\n"
        "}\n"
    )
    # Without empty lines, as the lists are.
    place = SITES.index("mailman_list { 'mailman@zuul'")
    assert add(SITES, "a", site="openstack") == SITES[:place] + new + SITES[place:]
    airship = new.replace("openstack']", "airship']").replace("a@openstack", "a@airship")
    assert add(SITES, "a", site="airship") == SITES + airship


def test_a_site_is_never_guessed() -> None:
    with pytest.raises(BadInputError, match=r"\(airship, openstack, zuul\): name the site"):
        add(SITES)
    with pytest.raises(BadInputError, match="no list of site other"):
        add(SITES, site="other")
    with pytest.raises(BadInputError, match="no site: name none"):
        add(PAGE, site="openstack")
    with pytest.raises(BadInputError, match="not the name of a site"):
        add(SITES, site="")


def test_another_sites_host_is_not_taken() -> None:
    text = SITES.replace("  admin ", "  mailserver  => 'lists.zuul-ci.org',\n  admin ")
    add(text, "a", site="zuul")
    with pytest.raises(NotUnderstood, match="no list shows what it is for site airship"):
        add(text, "a", site="airship")


def test_a_require_that_is_no_site() -> None:
    text = SITES.replace("Mailman::Site['zuul']", "Class['mailman']")
    assert add(text, "a", site="zuul").count("Class['mailman']") == 2
    with pytest.raises(NotUnderstood, match="require is not Mailman::Site"):
        add(text, "a", site="airship")


@pytest.mark.parametrize(
    ("name", "before"),
    [("bb", "c"), ("a", "b"), ("B-x", "c"), ("zz", None), ("mailman-x", None)],
)
def test_lists_in_order_stay_in_order(name: str, before: str | None) -> None:
    text = "class a($p) {\n" + one("mailman") + one("b") + "# of c\n" + one("c") + one("d") + "}\n"
    found = [entry.name for entry in read(add(text, name)).lists]
    index = found.index(name)
    assert found[index + 1 : index + 2] == ([before] if before else [])
    assert "# of c\n  maillist { 'c'" in add(text, name)


def test_before_the_first_and_its_comment() -> None:
    text = "class a($p) {\n\n  # of b\n" + one("b") + one("c") + one("d") + "}\n"
    assert add(text, "a").startswith("class a($p) {\n\n  maillist { 'a': ensure")
    assert "\n  # of b\n  maillist { 'b'" in add(text, "a")


@pytest.mark.parametrize("names", [["b", "a", "c"], ["b", "c"]])
def test_lists_without_order_end_with_the_new_one(names: list[str]) -> None:
    text = "class a($p) {\n" + "".join(map(one, names)) + "}\n"
    assert [e.name for e in read(add(text, "aa")).lists] == [*names, "aa"]


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
@pytest.mark.parametrize("end", [True, False])
def test_line_ends(eol: str, end: bool) -> None:
    text = "maillist { 'a':\n  ensure   => present,\n  password => $p,\n}\n" * 1
    text = (text if end else text[:-1]).replace("\n", eol)
    result = add(text, "b")
    assert result.count("\n") == result.count(eol)
    assert result.endswith("}" + eol) == end
    assert f"}}{eol}{eol}maillist {{ 'b':{eol}  ensure      => present,{eol}" in result


STYLES = [
    (
        '\tmaillist{"a":\n\t\tensure=>present,\n\t\tadmin=>"x@y",\n\t\tpassword=>$p\n\t}\n',
        '\tmaillist{"b":\n\t\tensure=>present,\n\t\tadmin=>"x@y",\n\t\tpassword=>$p,\n'
        '\t\tdescription=>"D"\n\t}\n',
    ),
    (
        "    maillist {\n      'a' :\n        ensure => present,\n        admin => 'x@y',\n"
        "        password => $p,\n    }\n",
        "    maillist {\n      'b' :\n        ensure => present,\n        admin => 'x@y',\n"
        "        password => $p,\n        description => 'D',\n    }\n",
    ),
    (
        "  maillist { 'a': ensure => present, admin => 'x@y', password => $p }\n",
        "  maillist { 'b': ensure => present, admin => 'x@y', password => $p, "
        "description => 'D' }\n",
    ),
    (
        "  maillist { 'a':\n    ensure   =>  present,\n    admin    =>  'x@y',\n"
        "    password =>  $p }\n",
        "  maillist { 'b':\n    ensure      =>  present,\n    admin       =>  'x@y',\n"
        "    password    =>  $p,\n    description =>  'D' }\n",
    ),
    (
        "  maillist { 'a':\n    ensure  =>present,\n    admin   =>'x@y',\n    password=>$p,\n  }\n",
        "  maillist { 'b':\n    ensure     =>present,\n    admin      =>'x@y',\n"
        "    password   =>$p,\n    description=>'D',\n  }\n",
    ),
    (  # not in columns, but meant to be
        "  maillist { 'a':\n    ensure    => present,\n    admin       => 'x@y',\n"
        "    password => $p,\n  }\n",
        "  maillist { 'b':\n    ensure      => present,\n    admin       => 'x@y',\n"
        "    password    => $p,\n    description => 'D',\n  }\n",
    ),
]


@pytest.mark.parametrize(("written", "new"), STYLES)
def test_the_neighbours_style(written: str, new: str) -> None:
    text = "class c($p) {\n" + written + "}\n"
    result = add(text, "b", admin="x@y", description="D")
    assert result == "class c($p) {\n" + written + "\n" + new + "}\n"


def test_the_page_with_double_quotes_that_were_needed() -> None:
    text = PAGE.replace("'Lista {de} #correo'", '"It\'s"')
    assert "description => 'Discussion of OpenStack Foo'" in add(text)


def test_values_are_data() -> None:
    admin, description = "o'x\\@example.com", "$x ${y} \"z\" 'q' \\' # } \\"
    new = add(PAGE, admin=admin, description=description)
    assert r"admin       => 'o\'x\\@example.com'," in new
    found = read(new).find("openstack-foo")
    assert found is not None
    assert found.attributes["admin"].text == admin
    assert found.attributes["description"].text == description
    assert r'description => "a\nb",' in add(PAGE, description="a\nb")


@pytest.mark.parametrize(
    ("password", "used"),
    [
        ("'secret'", "$listpassword"),
        ('"secret"', "$listpassword"),
        ("secret", "$listpassword"),
        ("12345", "$listpassword"),
        ("Sensitive('secret')", "$listpassword"),
        ("$passwords['openstack-es']", "$listpassword"),
        ("$passwords['lists']", "$passwords['lists']"),
        ("hiera('lists')", "hiera('lists')"),
        ('"${listpassword}"', '"${listpassword}"'),
    ],
)
def test_a_password_is_never_repeated(password: str, used: str) -> None:
    text = PAGE.replace("password    => $listpassword", f"password    => {password}")
    assert f"    password    => {used},\n    description => 'Disc" in add(text)


def test_a_written_password_and_no_variable() -> None:
    text = PAGE.replace("$listpassword", "'secret'").replace("('secret' = '')", "")
    with pytest.raises(NotUnderstood, match=r"line 2: .* class lists has no \$listpassword"):
        add(text)


def test_attributes_that_all_share() -> None:
    text = "class a($p) {\n"
    for name in "ab":
        text += one(name, body=f"admin => 'x', password => $p, tag => '{name}', loglevel => 'info'")
    new = add(text + "}\n", "c").split("\n")[-3]
    assert "loglevel => 'info'" in new
    assert "tag" not in new


def test_a_new_list_is_present() -> None:
    text = PAGE.replace("ensure      => present", "ensure      => $ensure")
    assert "    ensure      => present,\n    admin       => 'admin@" in add(text)
    text = PAGE.replace("ensure      => present", "ensure      => 'present'")
    assert "    ensure      => 'present',\n    admin       => 'admin@" in add(text)


def test_what_the_neighbour_leaves_out() -> None:
    text = "class a($listpassword) {\n  maillist { 'a': loglevel => 'info' }\n}\n"
    assert (
        "maillist { 'foo': ensure => present, admin => 'admin@example.com', "
        "password => $listpassword, description => 'Discussion of OpenStack Foo', "
        "loglevel => 'info' }" not in add(text, "foo")
    )
    new = add(text, "foo").split("\n")[3]
    order = [new.index(name) for name in ("ensure", "admin", "password", "description")]
    assert order == sorted(order)


def test_defaults_are_left_to_puppet() -> None:
    text = "Maillist { ensure => present, password => $p }\nmaillist { 'a':\n  admin => 'x@y',\n}\n"
    manifest = read(text)
    assert [(n.line, n.text) for n in manifest.notes] == [(1, "defaults for every maillist")]
    new = add(text, "b")[len(text) :]
    assert "ensure" not in new
    assert "password" not in new


def test_a_resource_with_several_lists() -> None:
    text = (
        "class a($p) {\n  maillist {\n    default:\n      ensure   => present,\n"
        "      password => $p;\n    'b':\n      admin => 'b@x';\n    ['c', 'd']:\n"
        "      admin => 'c@x';\n  }\n}\n"
    )
    lists = read(text).lists
    assert [e.name for e in lists] == ["b", "c", "d"]
    assert {e.attributes["password"].source for e in lists} == {"$p"}
    new = add(text, "e")
    assert (
        "\n  maillist { 'e':\n    ensure      => present,\n    password    => $p,\n"
        "    admin       => 'admin@example.com',\n    description => 'Disc"
    ) in new


def test_the_first_list_of_a_class() -> None:
    text = "class a(\n    $listpassword,\n) {\n    $listdomain = 'x'\n}\nclass b {\n}\n"
    assert add(text, "foo", class_name="a") == text.replace(
        "= 'x'\n",
        "= 'x'\n\n    maillist { 'foo':\n        ensure      => present,\n"
        "        admin       => 'admin@example.com',\n        password    => $listpassword,\n"
        "        description => 'Discussion of OpenStack Foo',\n"
        "        webserver   => $listdomain,\n        mailserver  => $listdomain,\n    }\n",
    )
    with pytest.raises(BadInputError, match="the classes a, b: name the class"):
        add(text)
    with pytest.raises(NotUnderstood, match=r"class b has no \$listpassword"):
        add(text, class_name="b")


def test_two_classes_with_lists() -> None:
    text = PAGE + "class other($p) {\n  class inner {\n" + one("z", "    ") + "  }\n}\n"
    with pytest.raises(BadInputError, match="class lists, class other::inner: name the class"):
        add(text)
    for name, before in (("::lists", 2), ("other::inner", 3)):
        names = [e.name for e in read(add(text, class_name=name)).lists]
        assert names.index("openstack-foo") == before
    with pytest.raises(BadInputError, match="no class none"):
        add(text, class_name="none")


@pytest.mark.parametrize("name", ["openstack-es", "OpenStack-ES", "openstack-old"])
def test_a_list_that_is_there(name: str) -> None:
    with pytest.raises(ListInManifest, match=r"line \d+: the manifest has the list openstack-"):
        add(PAGE, name)


@pytest.mark.parametrize(
    "declaration",
    [
        "if $x { maillist { 'a': } }",
        "@maillist { 'a': }",
        "@@maillist { 'a': }",
        "define d { maillist { 'a': } }",
        "case $x { default: { maillist { 'a': } } }",
        "[1].each |$x| { maillist { 'a': } }",
        "maillist { 'other': name => 'A' }",
        "maillist { 'a@lists.example.org': }",
        "maillist { ['b', 'a']: }",
    ],
)
def test_a_list_that_may_be_there(declaration: str) -> None:
    with pytest.raises(ListInManifest):
        add(PAGE + declaration + "\n", "a")


@pytest.mark.parametrize(
    ("declaration", "conditional"),
    [
        ("maillist { 'a': }", False),
        ("class b { class c { maillist { 'a': } } }", False),
        ("node 'x', /y/ { maillist { 'a': } }", False),
        ("if $x { } elsif $y { maillist { 'a': } } else { }", True),
        ("if $x.any |$y| { $y } { maillist { 'a': } }", True),
        ("case $x { default: { maillist { 'a': } } }", True),
        ("$x.each |$y| { maillist { 'a': } }", True),
        ("define d { class c { maillist { 'a': } } }", True),
        ("function f() >> Any { maillist { 'a': } }", True),
        ("@maillist { 'a': }", True),
        ("@@maillist { 'a': }", True),
    ],
)
def test_what_is_conditional(declaration: str, conditional: bool) -> None:
    (entry,) = read(declaration).lists
    assert entry.conditional == conditional


@pytest.mark.parametrize(
    ("statement", "note"),
    [
        ("maillist { $x: }", "a maillist whose title is computed: $x"),
        ('maillist { "a${x}": }', 'a maillist whose title is computed: "a${x}"'),
        ("maillist { 'a': name => $x }", "a maillist whose name is computed: $x"),
        ("maillist { ['a', $x]: }", "a maillist whose title is computed: ['a', $x]"),
        ("Maillist <| |>", "a collector that may realize or change a maillist"),
        ("Maillist['a'] { admin => 'x' }", "an override of a maillist's attributes"),
        ("create_resources(maillist, $x)", "create_resources may declare lists that are not read"),
        ("create_resources($t, $x)", "create_resources may declare lists that are not read here"),
        ("ensure_resource('maillist', 'a')", "ensure_resource may declare lists"),
        ("Resource['maillist'] { 'a': }", "a resource whose type is computed: it may be a list"),
    ],
)
def test_what_is_noted(statement: str, note: str) -> None:
    (found,) = read(PAGE + statement).notes
    assert found.line == PAGE.count("\n") + 1
    assert found.text.startswith(note)
    result = add(PAGE + statement, class_name="lists")
    assert [n.text for n in read(result).notes] == [found.text]


@pytest.mark.parametrize(
    "statement", ["create_resources('file', $x)", "File <| |>", "file { $x: }", "$x['a'] == { }"]
)
def test_what_is_not_noted(statement: str) -> None:
    assert read(PAGE + statement).notes == ()


def test_empty_lines_around_the_new_list() -> None:
    text = "class c($p) {\n" + one("a") + "\n" + one("b") + "  notify { 'x': }\n}\n"
    assert "'b': " in text
    new = add(text, "c")
    assert "}\n\n  maillist { 'c': " in new
    assert "Foo' }\n\n  notify" in new
    assert "Foo' }\n}" in add(text.replace("  notify { 'x': }\n", ""), "c")


def test_the_result_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "runbooks.add_list.manifest.insertion.quote", lambda value, mark="'": f"{mark}{value}{mark}"
    )
    add(PAGE)
    with pytest.raises(NotUnderstood, match=r"line 17: .* does not read as it should"):
        add(PAGE, description="a', description2 => 'b")
    with pytest.raises(NotUnderstood):
        add(PAGE, description="it's")


def test_never_between_arrows() -> None:
    text = "class c($p) {\n" + one("a").rstrip() + " ->\n" + one("b") + "}\n"
    assert [e.name for e in read(add(text, "c")).lists] == ["a", "b", "c"]
    text = "class c($p) {\n" + one("a") + "  -> Class['x']\n}\n"
    with pytest.raises(NotUnderstood, match="line 2: no list here ends a line of its own"):
        add(text, "c")


@pytest.mark.parametrize(
    "text",
    [
        "class c { maillist { 'a': ensure => present } }\n",
        "class c {\n  maillist { 'a': ensure => present } /* a\n  b */\n}\n",
        "class c {\n  maillist { 'a': description => @(E) }\n  x\n  | E\n}\n",
        "class c {\n  maillist { 'a': ensure => present }; notify { 'b': }\n}\n",
    ],
)
def test_no_line_to_add_one_behind(text: str) -> None:
    with pytest.raises(NotUnderstood, match=r"line \d: no list here ends a line of its own"):
        add(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("maillist { }", "line 1: a maillist without a title"),
        ("maillist { ensure => present }", "line 1: a maillist that is not written as title: attr"),
        ("maillist { 'a' ensure => present }", "line 1: a maillist that is not written as title:"),
        ("maillist { 'a': ensure present }", "line 1: an attribute of the maillist that is not"),
        ("maillist { 'a': ensure +> present }", "line 1: an attribute of the maillist that is not"),
        ("maillist { 'a':,, }", "line 1: a comma too many in the maillist"),
        ("maillist { 'a': x => 1,\nx => 2 }", "line 2: x is set twice in the maillist"),
        ("maillist { 'a': x => 1\ny => 2 }", "line 2: a comma is missing before this"),
        ("maillist { 'a': x => $y z, }", "line 1: a comma is missing before this"),
        ("1 + maillist { 'a': }", r"line 1: maillist \{ after \+"),
        ("class a {", r"line 1: a \{ that is never closed"),
        ("}", r"line 1: a \} that closes nothing"),
        ("class a {\n)", r"line 2: a \) where the \{ of line 1 should be closed"),
        ("class a", "line 1: class without a block that belongs to it"),
        ("notify { 'a': }", "line 1: the manifest has no list, and no class to put one into"),
        ("if $x { maillist { 'a': } }", "line 1: no maillist is declared outside of conditions"),
        ("maillist { 'a': ensure => absent }", "line 1: no list here can serve as an example"),
        ("class a { }", "line 1: class a has no line of its own for its closing brace"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(NotUnderstood, match=message):
        add(text)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbfclass a { }\n", "line 1: the file begins with a byte order mark"),
        (b"class a {\n  # \xe9\n}\n", "line 2: the file is not UTF-8"),
        ("class a { }".encode("utf-16"), "line 1: the file is not UTF-8"),
    ],
)
def test_files_that_are_not_utf8(content: bytes, message: str) -> None:
    with pytest.raises(NotUnderstood, match=message):
        read(content)


@pytest.mark.parametrize(
    ("name", "admin", "message"),
    [
        ("", "a@b", "the name of the list is empty"),
        ("a", "", "the address of the list is empty"),
        ("a@b", "a@b", "a list's name has no @"),
        ("a\0", "a@b", "NUL"),
    ],
)
def test_values_that_no_manifest_can_hold(name: str, admin: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        add(PAGE, name, admin=admin)


def test_a_heredoc_is_no_example() -> None:
    text = PAGE.replace("'Lista {de} #correo'", "@(E)").replace("  webs", "  x\n    | E\n  webs", 1)
    with pytest.raises(NotUnderstood, match="no list here can serve as an example"):
        add(text)
