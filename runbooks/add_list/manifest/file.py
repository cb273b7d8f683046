"""A manifest as a file on this machine: read, replaced in one moment, judged by Puppet's tools."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from runbooks.add_list.manifest import insertion as puppet
from runbooks.errors import BadInputError

#: Seconds for one of Puppet's tools.
PATIENCE = 120

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class ManifestFile:
    """A manifest that was read. `path` as it was named, `target` the file that it leads to."""

    path: str
    target: Path
    content: bytes
    manifest: puppet.Manifest

    def diff(self, text: str) -> str:
        """What would change, for a person: a unified diff."""
        lines: list[str] = []
        name = self.path.lstrip("/")
        for line in difflib.unified_diff(
            _lines(self.manifest.text),
            _lines(text),
            f"a/{name}",
            f"b/{name}",
        ):
            lines += [line[:-1]] if line.endswith("\n") else [line, "\\ No newline at end of file"]
        return "\n".join(lines)

    def check_writable(self) -> None:
        """Raise BadInputError unless the file can be replaced."""
        if not os.access(self.target.parent, os.W_OK | os.X_OK) or not os.access(
            self.target, os.W_OK
        ):
            raise BadInputError(f"{self.path} cannot be written by you")

    def write(self, text: str) -> None:
        """Replace the file, unless somebody has changed it since it was read.

        Raises BadInputError; then nothing was changed.
        """
        self._replace(text.encode("utf-8"), expected=self.content)

    def put_back(self, text: str) -> None:
        """Undo `write`. Raises BadInputError when somebody has changed the file meanwhile."""
        self._replace(self.content, expected=text.encode("utf-8"))

    def _replace(self, content: bytes, expected: bytes) -> None:
        try:
            if self.target.read_bytes() != expected:
                raise BadInputError(
                    f"somebody has changed {self.path} since it was read; it was left alone"
                )
            replace(self.target, content)
        except OSError as e:
            raise BadInputError(
                f"{self.path} cannot be written: {e.strerror}; nothing was changed"
            ) from None


def _lines(text: str) -> list[str]:
    """The lines of a text with their ends; nothing but a line feed ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def load(path: str) -> ManifestFile:
    """Read a manifest. Raises BadInputError, with the place in the file where there is one."""
    try:
        target = Path(path).resolve(strict=True)
        if not target.is_file():
            raise BadInputError(f"{path} is not a file: name the manifest that has the lists")
        content = target.read_bytes()
    except (OSError, RuntimeError) as e:  # RuntimeError: a loop of links, before Python 3.13
        why = e.strerror if isinstance(e, OSError) else "too many links"
        raise BadInputError(f"the manifest {path} cannot be read: {why}") from None
    try:
        return ManifestFile(path, target, content, puppet.read(content))
    except puppet.NotUnderstood as e:
        raise BadInputError(f"{path}, {e}; it was left alone") from None


def replace(path: Path, content: bytes) -> None:
    """Give a file another content: at any moment it has the old one or the new one.

    Mode, owner and extended attributes stay. Raises OSError; then the file is as it was.
    """
    was = path.stat()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if (was.st_uid, was.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), was.st_uid, was.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(was.st_mode))
            for attribute in os.listxattr(path):
                with contextlib.suppress(OSError):
                    os.setxattr(file.fileno(), attribute, os.getxattr(path, attribute))
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(frozen=True)
class Judgement:
    """What one of Puppet's tools says of a file."""

    #: False where the tool is not installed
    asked: bool
    #: what is wrong, a line each
    problems: tuple[str, ...] = ()


def validate(path: Path) -> Judgement:
    """Whether Puppet can read the manifest: ``puppet parser validate``."""
    program = shutil.which("puppet")
    if program is None:
        return Judgement(False)
    status, lines = _run([program, "parser", "validate", "--color=false", str(path)])
    if status == 0:
        return Judgement(True)
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return Judgement(True, tuple(errors or lines[-1:] or [f"exit status {status}"]))


def lint(path: Path, first: int, last: int) -> Judgement:
    """What puppet-lint says of the lines `first` to `last`. Of others it is not asked."""
    program = shutil.which("puppet-lint")
    if program is None:
        return Judgement(False)
    _, lines = _run([program, "--log-format", "%{line}:%{kind}: %{message}", str(path)])
    found = []
    for line in lines:
        number, _, said = line.partition(":")
        if number.isdigit() and first <= int(number) <= last:
            found.append(f"line {number}: {said}")
    return Judgement(True, tuple(found))


def _run(command: list[str]) -> tuple[int, list[str]]:
    """Exit status and lines of output, standard error included."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, [f"it did not end within {PATIENCE} seconds"]
    except OSError as e:
        return 1, [f"{command[0]}: {e.strerror}"]
    text = _COLOURS.sub("", done.stdout.decode("utf-8", "replace"))
    return done.returncode, [line.strip() for line in text.splitlines() if line.strip()]
