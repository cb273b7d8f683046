"""Hosts: which names are taken, and how programs get there and back."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from runbooks import onhost
from runbooks.errors import BadInputError, HostError, LostError
from runbooks.host.host import Host
from runbooks.onhost import Program
from tests.support.pythons import PYTHONS

PYTHON = f"exec {shlex.quote(sys.executable)}"


# -- names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "lists.example.org",
        "lists.example.org; id",
        "ssh://",
        "docker://",
        "ssh:///path",
        "ssh://[::1",
        "ssh://-oProxyCommand=touch",
        "ssh://%2doProxyCommand=touch",
        "ssh://[-oProxyCommand=touch]",
        "ssh://root@-oProxyCommand=touch",
        "ssh://root@%2doProxyCommand=touch",
        "ssh://-oProxyCommand=touch@host",
        "docker://--privileged",
        "docker://root@--privileged",
        "docker://a@--user=root@b",
        "ssh://$(touch x)",
        "ssh://host;id",
        "ssh://`id`",
        "ssh://ho st",
        "ssh://'host'",
        "ssh://host%00",
        "ssh://host%0aid",
        "ssh://höst",
        "ssh://host\nid",
        "ssh://host\0",
        "ssh://a|b",
        "ssh://a&b",
        "ssh://{a,b}",
        "ssh://" + ";" * 10_000,
    ],
)
def test_what_names_no_host_is_refused_with_one_line(spec):
    with pytest.raises(BadInputError) as caught:
        Host(spec)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("spec", ["x://host", "ssh2://host", "paramiko+x://host"])
def test_a_connection_that_nobody_knows_is_refused_with_one_line(spec):
    with pytest.raises(HostError) as caught:
        Host(spec).run(Program("installation", {}), PYTHON)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("local://", "local"),
        ("ssh://lists.example.org", "lists.example.org"),
        ("ssh://root@lists.example.org:2222?sudo=true", "lists.example.org:2222"),
        ("ssh://root@[2001:db8::1]:22", "[2001:db8::1]:22"),
        ("docker://f68365b564bc", "f68365b564bc"),
        ("ansible://lists?ansible_inventory=/tmp/x", "lists"),
    ],
)
def test_a_host_has_a_name(spec, name):
    assert Host(spec).name == name


def test_the_folder_of_the_programs_can_be_told():
    assert Host("local://?mailman=/opt/mailman/bin").mailman_dirs == ("/opt/mailman/bin",)


def test_a_practice_site_that_is_not_there_is_one_line_that_helps(tmp_path):
    with pytest.raises(HostError, match="runbook practice new"):
        Host(f"practice:{tmp_path}")


def test_a_program_that_is_missing_here_is_named_and_not_the_whole_result_of_it(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError) as raised:
        Host("ansible://lists").run(Program("boot", {}), "python3")
    assert re.fullmatch(r"ansible://lists: .*ansible-inventory: not found", str(raised.value))


def test_the_option_for_a_host_is_quoted():
    assert Host("local://").option == ""
    assert Host("docker://ID").option == " --host docker://ID"
    assert shlex.split(Host("ssh://h?mailman=/a b").option) == ["--host", "ssh://h?mailman=/a b"]


# -- programs -------------------------------------------------------------------------------


@pytest.fixture
def program(monkeypatch):
    """Makes a Program of the text of a module."""
    texts: dict[str, str] = {}
    real = onhost.source
    monkeypatch.setattr(onhost, "source", lambda name: texts.get(name) or real(name))

    def make(text: str, /, **parameters: object) -> Program:
        name = f"probe{len(texts)}"
        texts[name] = text
        return Program(name, parameters)

    return make


@pytest.fixture
def host():
    made = Host("local://")
    yield made
    made.close()


def test_parameters_go_there_and_events_come_back(host, program):
    text = "def run(parameters, emit):\n    emit({'event': 'got', 'it': parameters})"
    odd = {"a": "'; touch /tmp/x; $(id)\n\0%s\ud800é", "b": [1, None, {"c": True}]}
    assert host.run(program(text, **odd), PYTHON) == [{"event": "got", "it": odd}]


def test_programs_follow_each_other_over_one_command_and_share_nothing(host, program):
    text = (
        "import os, sys\n"
        "def run(parameters, emit):\n"
        "    emit({'event': 'pid', 'pid': os.getpid(), 'before': hasattr(sys, 'probed')})\n"
        "    sys.probed = True\n"
        "    os.environ['PROBED'] = 'yes'\n"
    )
    events = [host.run(program(text), PYTHON)[0] for _ in range(3)]
    assert host.traffic.commands == 1
    assert len({event["pid"] for event in events}) == 3
    assert not any(event["before"] for event in events)


def test_what_a_program_prints_is_no_event(host, program):
    text = (
        "import os\n"
        "def run(parameters, emit):\n"
        '    print(\'@@runbook {"event": "forged"}\')\n'
        "    os.system('echo noise')\n"
        "    emit({'event': 'real'})\n"
    )
    assert host.run(program(text), PYTHON) == [{"event": "real"}]


def test_names_that_are_not_utf_8_survive(host, program):
    text = "def run(parameters, emit):\n    emit({'event': 'x', 'name': b'caf\\xe9'})"
    assert (
        host.run(program(text), PYTHON)[0]["name"].encode("utf-8", "surrogateescape") == b"caf\xe9"
    )


def test_a_secret_is_in_no_argument_and_in_no_message(host, program):
    text = (
        "import os\n"
        "def run(parameters, emit):\n"
        "    me = open('/proc/%d/cmdline' % os.getppid()).read()\n"
        "    emit({'event': 'x', 'secret': os.read(0, 100).decode(), 'command': me})\n"
    )
    event = host.run(program(text), PYTHON, secret=b"hunter2\n")[0]
    assert event["secret"] == "hunter2\n"
    assert "hunter2" not in event["command"]


def test_a_secret_that_was_not_read_is_never_taken_for_a_program(host, program):
    text = "def run(parameters, emit):\n    raise ValueError('no')"
    with pytest.raises(LostError) as caught:
        host.run(program(text), PYTHON, secret=b"00000007hunter2")
    assert "hunter2" not in str(caught.value)
    assert host.run(program("def run(parameters, emit): emit({'event': 'on'})"), PYTHON) == [
        {"event": "on"}
    ]


def test_a_program_that_fails_is_one_line_and_the_next_one_runs(host, program):
    with pytest.raises(LostError, match="ValueError: no"):
        host.run(program("def run(parameters, emit):\n    raise ValueError('no\\nwhat')"), PYTHON)
    assert host.run(program("def run(parameters, emit): emit({'event': 'on'})"), PYTHON)


def test_a_program_that_is_killed_says_so(host, program):
    text = (
        "import os\n"
        "def run(parameters, emit):\n"
        "    emit({'event': 'x'})\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    heard = []
    with pytest.raises(LostError, match="killed by signal 9"):
        host.run(program(text), PYTHON, heard.append)
    assert heard == [{"event": "x"}]


@pytest.mark.parametrize(
    "part",
    [
        "@",
        "@@runbook",
        "@@runbook ",
        '@@runbook {"event": "sec',
        '@@runbook {"event": "second", "text": "@@runbook ',
        '@@runbook {"event": "second"}',
    ],
)
def test_a_program_that_is_killed_in_the_middle_of_an_event_says_so(host, program, part):
    text = (
        "import os\n"
        "def run(parameters, emit):\n"
        "    emit({'event': 'first'})\n"
        "    os.write(emit.fd, parameters['part'].encode())\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    heard = []
    with pytest.raises(LostError, match="killed by signal 9"):
        host.run(program(text, part=part), PYTHON, heard.append)
    assert heard == [{"event": "first"}]
    assert host.run(program("def run(parameters, emit): emit({'event': 'on'})"), PYTHON)


@pytest.mark.parametrize("feed", ["", "\n"])
def test_an_event_that_was_cut_off_is_never_passed_over(host, program, feed):
    text = (
        "import os\n"
        "def run(parameters, emit):\n"
        "    os.write(emit.fd, b'@@runbook {' + parameters['feed'].encode())\n"
    )
    with pytest.raises(LostError, match="what it said was cut off"):
        host.run(program(text, feed=feed), PYTHON)


def test_an_event_may_have_the_mark_of_events_in_it(host, program):
    text = "def run(parameters, emit):\n    emit({'event': 'x', 'text': parameters['text']})"
    said = '@@runbook {"event": "end"}'
    assert host.run(program(text, text=said), PYTHON) == [{"event": "x", "text": said}]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Connection refused' >&2; exit 255 #", "Connection refused"),
        ("echo motd; exit 1 #", "motd"),
        ("exit 1 #", "it said nothing"),
        ("no-such-command-at-all", "not found"),
    ],
)
def test_a_host_that_does_not_answer_is_one_line(host, program, script, why):
    with pytest.raises(HostError, match=why) as caught:
        host.run(program("def run(parameters, emit): pass"), script)
    assert "\n" not in str(caught.value)


def test_a_connection_that_is_lost_in_the_middle_of_an_event(host, program):
    answer = '@@runbook {"event": "first"}\\n@@runbook {"event": "sec'
    heard = []
    with pytest.raises(LostError, match="the connection was lost before the work was done"):
        host.run(
            program("def run(parameters, emit): pass"), f"printf '{answer}'; exit 0 #", heard.append
        )
    assert heard == [{"event": "first"}]


def test_a_connection_that_was_lost_between_programs_is_made_again(host, program):
    text = "import os\ndef run(parameters, emit): emit({'event': 'x', 'server': os.getppid()})"
    os.kill(host.run(program(text), PYTHON)[0]["server"], signal.SIGKILL)
    host._session.child.wait()
    assert host.run(program(text), PYTHON)
    assert host.traffic.commands == 2


LONG = """\
import os, time
def run(parameters, emit):
    emit({'event': 'began', 'pid': os.getpid()})
    while not emit.stopping():
        time.sleep(0.01)
    time.sleep(parameters['after'])
    emit({'event': 'in hand is done'})
"""


def interrupt(times: int = 1, pause: float = 0.3) -> None:
    """Ctrl-C, for this process."""

    def strike() -> None:
        for _ in range(times):
            time.sleep(pause)
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=strike).start()


def test_an_interrupt_lets_the_program_end_what_it_has_in_hand(host, program):
    heard = []

    def hear(event: dict[str, object]) -> None:
        heard.append(event["event"])
        if event["event"] == "began":
            interrupt()

    with pytest.raises(KeyboardInterrupt):
        host.run(program(LONG, after=0.2), PYTHON, hear)
    assert heard == ["began", "in hand is done"]


def test_a_second_interrupt_waits_for_nothing_and_the_program_still_ends(host, program):
    pids = []

    def hear(event: dict[str, object]) -> None:
        if event["event"] == "began":
            pids.append(event["pid"])
            interrupt(times=2)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        host.run(program(LONG, after=6), PYTHON, hear)
    assert time.monotonic() - began < 6
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pids[0]}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_program_ends_when_the_command_is_gone(program, tmp_path):
    """Killed, it cannot ask the program to stop: the end of its input has to do."""
    code = (
        "import sys; from runbooks import onhost; from runbooks.host.host import Host\n"
        f"onhost.source = lambda n, real=onhost.source: {LONG!r} if n == 'probe' else real(n)\n"
        "def hear(event): print(event['pid'], flush=True)\n"
        f"Host('local://').run(onhost.Program('probe', {{'after': 0}}), {PYTHON!r}, hear)\n"
    )
    command = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert command.stdout is not None
    pid = int(command.stdout.readline())
    command.kill()
    command.wait()
    command.stdout.close()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -- what others wrote ----------------------------------------------------------------------

#: Modules that something in a start may import, each of which would leave a mark.
BAIT = (
    "base64",
    "encodings",
    "errno",
    "grp",
    "json",
    "linecache",
    "os",
    "pwd",
    "select",
    "site",
    "sitecustomize",
    "traceback",
    "types",
    "usercustomize",
    "zlib",
)


@pytest.fixture(params=["folder", "PYTHONPATH", "PYTHONHOME", "user site"])
def trap(request, tmp_path, monkeypatch):
    """A folder with modules that must not be imported, in one of the ways to have them imported.

    What is imported there leaves a file called `ran`.
    """
    folder = tmp_path / "trap"
    folder.mkdir()
    ran = folder / "ran"
    mark = f"import sys\nopen({str(ran)!r}, 'a').write(__name__ + ' ')\n"
    for name in BAIT:
        (folder / f"{name}.py").write_text(mark)
    way = request.param
    if way == "folder":
        monkeypatch.chdir(folder)
    elif way == "PYTHONPATH":
        # An empty entry is the current folder: `export PYTHONPATH=$PYTHONPATH:/opt/lib`.
        monkeypatch.chdir(folder)
        monkeypatch.setenv("PYTHONPATH", ":/opt/lib")
    elif way == "PYTHONHOME":
        for minor in ("2.7", *(f"3.{n}" for n in range(9, 15))):
            library = folder / "lib" / f"python{minor}"
            library.parent.mkdir(exist_ok=True)
            library.symlink_to(folder)
        monkeypatch.setenv("PYTHONHOME", str(folder))
    else:
        for minor in ("2.7", *(f"3.{n}" for n in range(9, 15))):
            packages = folder / f"base/lib/python{minor}"
            packages.mkdir(parents=True)
            (packages / "site-packages").symlink_to(folder)
        monkeypatch.setenv("PYTHONUSERBASE", str(folder / "base"))
    return ran


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
@pytest.mark.parametrize("spec", ["local://", "ssh://lists", "safe-ssh://lists", "docker://lists"])
def test_nothing_is_imported_from_where_the_login_happens_to_be(trap, way, program, spec, python):
    """Mailman's user may write there: the login may be root's, and stand in its lock folder."""
    for name in ("ssh", "docker"):
        way(name)
    text = (
        "import sys, os, json, errno\n"
        "def run(parameters, emit): emit({'event': 'x', 'path': sys.path, 'at': os.getcwd()})\n"
    )
    host = Host(spec)
    event = host.run(program(text), f"exec {shlex.quote(python)}")[0]
    host.close()
    assert not trap.exists(), trap.read_text()
    assert event["at"] == "/"
    assert all(folder.startswith("/") for folder in event["path"])


# -- connections ----------------------------------------------------------------------------


@pytest.fixture
def way(tmp_path, monkeypatch):
    """Puts a program called ssh or docker on the PATH that runs its last argument here."""

    def make(name: str) -> Path:
        log = tmp_path / f"{name}.log"
        script = tmp_path / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            f"#!/bin/sh\nfor last; do :; done\n"
            f'printf \'%s\\n\' "$@" >> {log}\nexec /bin/sh -c "$last"\n'
        )
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
        return log

    return make


ECHO = "def run(parameters, emit): emit({'event': 'x', 'text': parameters['text']})"


def test_ssh_notices_a_dead_connection_and_gets_no_text_as_an_argument(way, program):
    log = way("ssh")
    host = Host("ssh://root@lists.example.org:2222")
    secret_text = "'; touch /tmp/never; '"
    assert host.run(program(ECHO, text=secret_text), PYTHON)[0]["text"] == secret_text
    host.close()
    arguments = log.read_text()
    assert "ServerAliveInterval=15" in arguments
    assert {"User=root", "Port=2222", "lists.example.org"} <= set(arguments.split())
    assert "never" not in arguments


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("docker://root@ID", "docker exec -i -u root ID /bin/sh -c"),
        ("podman://ID", "podman exec -i ID /bin/sh -c"),
        (
            "kubectl://pod?namespace=n&container=c&context=x&kubeconfig=/a b",
            "kubectl --kubeconfig '/a b' --context x -n n -c c exec -i pod -- /bin/sh -c",
        ),
        ("openshift://pod?namespace=n", "oc -n n exec -i pod -- /bin/sh -c"),
        ("lxc://box", "lxc exec box --mode=non-interactive -- /bin/sh -c"),
        ("chroot://box", "chroot box /bin/sh -c"),
    ],
)
def test_the_program_of_a_connection_is_given_a_standard_input(way, program, spec, words):
    name, *arguments = shlex.split(words)
    log = way(name)
    host = Host(spec)
    assert host.run(program(ECHO, text="hello"), PYTHON)[0]["text"] == "hello"
    host.close()
    assert log.read_text().splitlines()[: len(arguments)] == arguments


def test_ssh_gets_what_the_host_and_an_inventory_say_of_it(way, program, tmp_path):
    log = way("ssh")
    config, key = tmp_path / "a config", tmp_path / "key"
    variables = {
        "ansible_host": "h",
        "ansible_port": 2222,
        "ansible_user": "u",
        "ansible_ssh_common_args": '-o ProxyCommand="ssh -W %h:%p bastion"',
    }
    inventory = {"_meta": {"hostvars": {"lists": variables}}, "all": {"hosts": ["lists"]}}
    answers = tmp_path / "bin/ansible-inventory"
    answers.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(inventory)}\nEND\n")
    answers.chmod(0o755)
    host = Host(
        f"ansible://lists?ansible_inventory={inventory}&ssh_config={config}&ssh_identity_file={key}"
    )
    assert host.run(program(ECHO, text="hello"), PYTHON)[0]["text"] == "hello"
    host.close()
    lines = log.read_text().splitlines()
    # In pairs, up to the name of the machine.
    given = list(zip(lines[::2], lines[1::2], strict=False))[: lines.index("h") // 2]
    assert {
        ("-F", str(config)),
        ("-i", str(key)),
        ("-o", "User=u"),
        ("-o", "Port=2222"),
        ("-o", "ProxyCommand=ssh -W %h:%p bastion"),
    } <= set(given)


def test_with_sudo_the_whole_command_is_sudos(way, program):
    log = way("sudo")
    host = Host("local://?sudo=true&sudo_user=somebody")
    with pytest.raises(HostError):
        # `local://` with a query is a local host like any other; the sudo here is no sudo.
        host.run(program(ECHO, text="hello"), "exit 3 #")
    host.close()
    assert log.read_text().splitlines()[:4] == ["-u", "somebody", "/bin/sh", "-c"]


def test_a_connection_whose_program_is_missing_is_one_line(program, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError, match=r"^docker://ID: docker: No such file or directory$"):
        Host("docker://ID").run(program(ECHO, text="hello"), PYTHON)


def test_a_connection_without_standard_input_takes_the_program_as_an_argument(way, program):
    log = way("ssh")
    host = Host("safe-ssh://lists.example.org")
    secret_text = "'; touch /tmp/never; '"
    for _ in range(2):
        assert host.run(program(ECHO, text=secret_text), PYTHON)[0]["text"] == secret_text
    assert host.traffic.commands == 2
    assert "never" not in log.read_text()
    with pytest.raises(HostError, match="password"):
        host.run(program(ECHO, text=""), PYTHON, secret=b"hunter2")
    with pytest.raises(HostError, match="too much to send"):
        host.run(program(ECHO, text=os.urandom(200_000).hex()), PYTHON)


def test_a_program_killed_in_an_event_says_so_without_standard_input_too(way, program):
    way("ssh")
    text = (
        "import os\n"
        "def run(parameters, emit):\n"
        "    os.write(emit.fd, b'@@runbook {')\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    with pytest.raises(LostError, match="what it said was cut off"):
        Host("safe-ssh://lists.example.org").run(program(text), PYTHON)
