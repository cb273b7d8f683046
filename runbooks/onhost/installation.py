# Asks an installation of Mailman 2 what it is: version, user, sites, folders.
#
# Python 2.7 and 3, standard library alone; changes nothing. Each site is asked in a process of
# its own: an mm_cfg.py that serves several sites chooses one from the environment when it is
# imported, and ends the process if it cannot.
#
# Asking means running Mailman's code and, where Mailman's group may write the programs, code of
# its user. So a process of root's becomes another user before it asks (mailmansuser.py), has
# only the pipes for its answer open, and has a time limit. What it says about Mailman is
# believed; as which user further programs run is decided here.
from __future__ import print_function

import grp
import json
import os
import pwd
import select
import signal
import socket
import sys
import time
import traceback

import listing
import mailmansuser
import opening
from boot import PYTHON2, as_json, become, fork, keep_open, native, retried, write_all

SETTINGS = (
    "VAR_PREFIX", "PREFIX", "LIST_DATA_DIR", "LOCK_DIR", "LIST_LOCK_LIFETIME",
    "MAILMAN_USER", "MAILMAN_GROUP", "MAILMAN_SITE_LIST", "DEFAULT_EMAIL_HOST", "DEFAULT_URL_HOST")


# The parts of the answer that are text, and those that are numbers.
TEXTS = tuple(name for name in SETTINGS if name != "LIST_LOCK_LIFETIME") + (
    "version", "note", "name_characters", "first_list", "place")
NUMBERS = ("LIST_LOCK_LIFETIME", "lists")
# The most bytes that are kept of what a site answers or prints.
LIMIT = 1 << 20
# Seconds for all sites to answer.
PATIENCE = 30


def last_line(text):
    lines = [line for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def describe(bin_dir):
    """What mm_cfg.py says. Runs in a process of its own, where nothing minds what it prints."""
    sys.path.insert(0, bin_dir)
    import paths  # noqa: F401  Mailman's own: it makes the package importable
    from Mailman import mm_cfg, Version
    answer = dict((name, getattr(mm_cfg, name, None)) for name in SETTINGS)
    answer["LIST_LOCK_LIFETIME"] = int(answer["LIST_LOCK_LIFETIME"])
    answer["version"] = Version.VERSION
    answer["note"] = "stand-in" if getattr(Version, "STANDIN", "") else ""
    # An old Mailman takes any folder.
    answer["name_characters"] = getattr(mm_cfg, "ACCEPTABLE_LISTNAME_CHARACTERS", ".")
    answer["lists"], answer["first_list"] = 0, ""
    try:
        names = listing.names({"list_dir": answer["LIST_DATA_DIR"],
                               "name_characters": answer["name_characters"]})
    except OSError as e:
        answer["trouble"] = str(e)
    else:
        answer["lists"] = len(names)
        others = [name for name in names if name != mm_cfg.MAILMAN_SITE_LIST]
        answer["first_list"] = (others or names or [""])[0]
    answer["place"] = os.path.realpath(answer["LIST_DATA_DIR"])
    answer["problems"] = troubles(answer)
    return answer


class Question(object):
    """One site being asked, as another user if `identity` names one. All are asked at once."""

    def __init__(self, bin_dir, site_dir, identity):
        self.site_dir = site_dir
        self.identity = identity
        self.answer_end, answer = os.pipe()
        self.output_end, output = os.pipe()
        self.pid = fork()
        if self.pid == 0:
            try:
                os.setsid()
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(output, 1)
                os.dup2(output, 2)
                keep_open(answer)
                if identity:
                    become(*identity)
                os.environ.pop("MAILMAN_SITE_DIR", None)
                if site_dir is not None:
                    os.environ["MAILMAN_SITE_DIR"] = site_dir
                write_all(answer, as_json(describe(bin_dir)))
            except SystemExit:
                pass
            except BaseException:
                traceback.print_exc()
            finally:
                for stream in (sys.stdout, sys.stderr):
                    stream.flush()
                os._exit(0)
        os.close(answer)
        os.close(output)

    def answer(self, deadline, emit):
        """(what mm_cfg.py says or None, what it printed instead)."""
        heard = {self.answer_end: b"", self.output_end: b""}
        unended = list(heard)
        while unended and time.time() < deadline and not emit.stopping():
            for fd in retried(select.select, unended, [], [], 0.5)[0]:
                more = retried(os.read, fd, 65536)
                heard[fd] = (heard[fd] + more)[-LIMIT:]
                if not more:
                    unended.remove(fd)
        for fd in heard:
            os.close(fd)
        if unended:
            for kill in (os.killpg, os.kill):  # it may not have its own group yet
                try:
                    kill(self.pid, signal.SIGKILL)
                except OSError:
                    pass
        retried(os.waitpid, self.pid, 0)
        if unended:
            return None, "it does not answer within %d seconds" % PATIENCE
        if not heard[self.answer_end]:
            return None, last_line(heard[self.output_end]) or "it says nothing"
        try:
            answer = native(json.loads(heard[self.answer_end].decode("ascii")))
        except ValueError:
            answer = None
        if not is_answer(answer):
            return None, "what it answers is no description of a Mailman"
        return answer, ""


def is_answer(answer):
    """Whether it has the form of what describe() returns: other people's code took part in it."""
    return (isinstance(answer, dict)
            and all(isinstance(answer.get(name), str) for name in TEXTS)
            and all(isinstance(answer.get(name), int) for name in NUMBERS)
            and isinstance(answer.get("problems"), list)
            and all(isinstance(problem, str) for problem in answer["problems"]))


def asked(bin_dir, sites, identity, emit):
    """[(folder of the site, answer or None, why there is none)]. All are asked at once."""
    questions = [Question(bin_dir, site, identity) for site in sites]
    deadline = time.time() + PATIENCE
    return [(question.site_dir,) + question.answer(deadline, emit) for question in questions]


def asked_safely(bin_dir, sites, is_owners, emit):
    """The same for root, which becomes no user that it has reason to doubt."""
    identity = (mailmansuser.owner if is_owners else mailmansuser.to_ask_as)(bin_dir)
    found = []
    for site, answer, refusal in asked(bin_dir, sites, identity, emit):
        if answer is not None:
            named = answer["MAILMAN_USER"], answer["MAILMAN_GROUP"]
            why = named != identity and mailmansuser.doubt(*named + (identity[0], bin_dir))
            if why:
                answer, refusal = None, why
            elif named[0] != identity[0]:
                _, answer, refusal = asked(bin_dir, [site], named, emit)[0]
            if answer is not None:
                # Not what that user's code may say the second time.
                answer["MAILMAN_USER"], answer["MAILMAN_GROUP"] = named
        found.append((site, answer, refusal))
    return found


def listed_sites(sites_file):
    """The folders in the sites file, each once and in its order, with their mail domains."""
    found = []
    try:
        data = opening.read(sites_file)
    except EnvironmentError:
        return found
    text = data if PYTHON2 else data.decode("utf-8", "surrogateescape")
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if ":" not in line:
            continue
        domain, folder = [part.strip() for part in line.split(":", 1)]
        if folder and folder not in [known for known, _ in found]:
            found.append((folder, domain))
    return found


def troubles(answer):
    """What is wrong with a site, each in a line."""
    found = []
    if answer.get("trouble"):
        found.append(answer["trouble"])
    for name in ("LIST_DATA_DIR", "LOCK_DIR"):
        if not os.path.isdir(answer[name]):
            found.append("%s is not a folder" % answer[name])
    user, group = answer["MAILMAN_USER"], answer["MAILMAN_GROUP"]
    try:
        uid = pwd.getpwnam(user).pw_uid
        gid = grp.getgrnam(group).gr_gid
    except KeyError:
        found.append("Mailman's user %s or group %s does not exist here" % (user, group))
        return found
    for name in ("LIST_DATA_DIR", "LOCK_DIR"):
        try:
            info = os.stat(answer[name])
        except OSError:
            continue
        writable = ((info.st_uid == uid and info.st_mode & 0o300 == 0o300)
                    or (info.st_gid == gid and info.st_mode & 0o030 == 0o030)
                    or info.st_mode & 0o003 == 0o003)
        if not writable:
            found.append("%s cannot be written by Mailman's user %s" % (answer[name], user))
    return found


def user_id(name):
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def run(parameters, emit):
    bin_dir = os.environ["RUNBOOK_BIN"]
    sites, refusals = [], []
    candidates = [(None, None)] + listed_sites(parameters["sites_file"])
    known = os.environ.get("MAILMAN_SITE_DIR")
    if known and known not in [folder for folder, _ in candidates]:
        candidates.append((known, None))
    folders = [folder for folder, _ in candidates]
    if os.geteuid() == 0:
        answers = asked_safely(bin_dir, folders, parameters["is_owners"], emit)
    else:
        answers = asked(bin_dir, folders, None, emit)
    for (folder, domain), (_, answer, refusal) in zip(candidates, answers):
        if answer is None:
            refusals.append({"site_dir": folder, "said": refusal})
            continue
        if answer["place"] in [site["place"] for site in sites]:
            continue
        answer.update(site_dir=folder, domain=domain, uid=user_id(answer["MAILMAN_USER"]))
        sites.append(answer)
    emit({
        "event": "installation",
        "bin": bin_dir,
        "others": [d for d in os.environ.get("RUNBOOK_OTHERS", "").split("\n") if d],
        "interpreter": sys.executable,
        "python": ".".join(str(n) for n in sys.version_info[:3]),
        "hostname": socket.gethostname(),
        "now": time.time(),
        "utc_offset": int(-time.altzone if time.localtime().tm_isdst > 0 else -time.timezone),
        "processors": max(1, os.sysconf("SC_NPROCESSORS_ONLN")),
        "uid": os.geteuid(),
        "sites": sites,
        "refusals": refusals,
    })
