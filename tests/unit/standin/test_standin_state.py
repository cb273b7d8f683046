"""What the stand-in keeps on the disk, and what it does when that is broken."""

from __future__ import annotations

import os
import pickle

import pytest

ADD = """
m = MailList.MailList("alpha", lock=1)
m.ban_list.append(sys.argv[1])
m.Save()
m.Unlock()
"""
SHOW = 'print(MailList.MailList("alpha", lock=0).ban_list)'
LOAD = """
try:
    MailList.MailList("alpha", lock=0)
except Errors.MMCorruptListDatabaseError as error:
    print(error)
"""


def state(path):
    return pickle.loads(path.read_bytes(), encoding="latin1")


def test_a_new_list_has_one_file(site):
    site.new_list("alpha")
    assert os.listdir(site.folder("alpha")) == ["config.pck"]
    assert site.folder("alpha").stat().st_mode & 0o7777 == 0o2775
    assert (site.folder("alpha") / "config.pck").stat().st_mode & 0o7777 == 0o660


def test_a_save_keeps_the_state_before_it(site):
    site.new_list("alpha")
    folder = site.folder("alpha")
    for entry, before in (("one", []), ("two", ["one"]), ("three", ["one", "two"])):
        site.code(ADD, entry)
        assert sorted(os.listdir(folder)) == ["config.pck", "config.pck.last"]
        assert state(folder / "config.pck")["ban_list"] == [*before, entry]
        assert state(folder / "config.pck.last")["ban_list"] == before


def test_every_python_reads_what_another_wrote(sites):
    sites[0].new_list("alpha")
    seen = []
    for number, site in enumerate(sites):
        entry = f"number{number}@example.com"
        site.code(ADD, entry)
        seen.append(entry)
        for other in sites:
            assert other.code("print(','.join(MailList.MailList('alpha', lock=0).ban_list))") == (
                ",".join(seen) + "\n"
            )


def test_python_2_writes_protocol_1(site):
    site.new_list("alpha")
    data = (site.folder("alpha") / "config.pck").read_bytes()
    assert not data.startswith(b"\x80"), "protocol 2 and later begin with this"
    assert data.startswith(b"}"), "protocol 0 begins with a bracket"
    assert len(state(site.folder("alpha") / "config.pck")) == 145


def test_a_corrupt_state_is_replaced_by_the_one_before(site):
    site.new_list("alpha")
    site.code(ADD, "one")
    site.code(ADD, "two")
    folder = site.folder("alpha")
    (folder / "config.pck").write_bytes(b"garbage")
    assert site.code(SHOW) == "['one']\n"
    assert (folder / "config.pck.corrupt").read_bytes() == b"garbage"
    for name in ("config.pck", "config.pck.last", "config.pck.safety"):
        assert state(folder / name)["ban_list"] == ["one"]


@pytest.mark.parametrize("broken", [b"", b"garbage", b"}q\x00(", pickle.dumps([1], 1)])
def test_nothing_that_can_be_read_is_refused(site, broken):
    site.new_list("alpha")
    site.code(ADD, "one")
    folder = site.folder("alpha")
    for name in ("config.pck", "config.pck.last"):
        (folder / name).write_bytes(broken)
    assert site.code(LOAD) == (f"[Errno 2] No such file or directory: '{folder}/config.db.last'\n")
    assert (folder / "config.pck").read_bytes() == broken


def test_a_save_that_fails_leaves_the_state_alone(site):
    site.new_list("alpha")
    folder = site.folder("alpha")
    before = (folder / "config.pck").read_bytes()
    said = site.code("""
m = MailList.MailList("alpha", lock=1)
m.ban_list = lambda: None
try:
    m.Save()
except Exception as error:
    print("not saved")
m.Unlock()
""")
    assert said == "not saved\n"
    [left] = set(os.listdir(folder)) - {"config.pck"}
    assert left.startswith("config.pck.tmp."), "as Mailman leaves it"
    assert (folder / "config.pck").read_bytes() == before


def test_a_state_that_is_not_ascii(site):
    """What Python 2 wrote: UTF-8 if it can be that, else Latin 1."""
    site.new_list("alpha")
    show = "repr" if site.answers_as_2_1 else "ascii"
    for written in (b"caf\xc3\xa9", b"caf\xe9"):
        path = site.folder("alpha") / "config.pck"
        before = state(path)
        pickled = pickle.dumps({**before, "description": "WRITTEN"}, 1)
        # A byte string of Python 2: U, its length, its bytes.
        text = pickle.dumps("WRITTEN", 1)[:-3]
        assert text in pickled
        path.write_bytes(pickled.replace(text, b"U%c%s" % (len(written), written)))
        said = site.code(f"print({show}(MailList.MailList('alpha', lock=0).description))")
        expected = repr(written)[1:] if site.answers_as_2_1 else "'caf\\xe9'"
        assert said == expected + "\n"


def test_a_state_is_on_the_disk_before_it_takes_the_name(site):
    site.new_list("alpha")
    said = site.code("""
def tell(name):
    function = getattr(os, name)
    def told(*arguments):
        print(name)
        return function(*arguments)
    setattr(os, name, told)

m = MailList.MailList("alpha", lock=1)
tell("fsync")
tell("rename")
m.Save()
m.Unlock()
""")
    assert said == "fsync\nrename\n"


def test_what_was_not_saved_is_gone_after_lock_if_the_file_is_newer(site):
    """Mailman does not read a state that is older than its last reading (seen on both versions)."""
    site.new_list("alpha")
    said = site.code("""
import os, time
m = MailList.MailList("alpha", lock=0)
path = os.path.join(m.fullpath(), "config.pck")
for age in (10, -10):
    os.utime(path, (time.time() - age, time.time() - age))
    m = MailList.MailList("alpha", lock=0)
    m.ban_list.append("unsaved")
    m.Lock()
    print(m.ban_list)
    m.Unlock()
""")
    assert said == "['unsaved']\n[]\n"


def test_a_list_without_a_name_touches_no_disk(site):
    said = site.code("""
m = MailList.MailList()
m.ban_list = ["^evil"]
print(m.Locked(), m.GetBannedPattern("evil@example.com"), m.GetBannedPattern("a@example.com"))
m.Unlock()
print(sorted(os.listdir(mm_cfg.VAR_PREFIX)))
""")
    assert said.splitlines()[0] == "False ^evil None"
    assert os.listdir(site.prefix / "lists") == []
    assert site.locks == []


def test_cannot_be_subclassed(site):
    """As Mailman's own: its constructor then calls itself."""
    site.new_list("alpha")
    said = site.code("""
class Sub(MailList.MailList):
    pass

for arguments in ((), ("alpha", 0)):
    try:
        Sub(*arguments)
    except RuntimeError as error:
        print(str(error).partition(" while")[0])
""")
    assert said == "maximum recursion depth exceeded\n" * 2


def test_the_sites_own_ban_list_counts(site):
    site.new_list("alpha")
    said = site.code("""
m = MailList.MailList("alpha", lock=0)
print(m.GetBannedPattern("global@example.com"), m.GetBannedPattern("local@example.com"))
""")
    assert said == "^global@ None\n"


def test_a_broken_regular_expression_is_logged_and_matches_nobody(site):
    site.new_list("alpha")
    said = site.code("""
m = MailList.MailList("alpha", lock=0)
m.ban_list = ["^[bad"]
print(m.GetBannedPattern("[bad@example.com"))
""")
    assert said == "None\n"
    assert "^[bad" in (site.prefix / "logs" / "error").read_text()
