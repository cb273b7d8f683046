"""What every program of bin/ needs: options, a usage text, a list by its name."""

from __future__ import print_function

import getopt
import sys

from Mailman import Errors, MailList


def usage(text, message=""):
    """Show `text` and end: with status 1 and the message as the last line of standard error."""
    print(text.strip(), file=sys.stderr if message else sys.stdout)
    if message:
        print("\n%s" % message, file=sys.stderr)
    sys.exit(1 if message else 0)


def options(text, short, long_):
    """`({option: value}, arguments)` of this program; `-h` and what is not known show the usage.

    Every option is known by its first spelling in `long_`: a dictionary from the long name (with
    `=` when it takes a value) to the short one.
    """
    try:
        found, arguments = getopt.getopt(sys.argv[1:], short + "h", list(long_) + ["help"])
    except getopt.error as error:
        usage(text, str(error))
    names = dict(("--" + name.rstrip("="), "-" + letter) for name, letter in long_.items())
    given = dict((names.get(name, name), value) for name, value in found)
    if "-h" in given or "--help" in given:
        usage(text)
    return given, arguments


def open_list(name, lock, text=None):
    """The list `name`, or the end: with the usage when `text` is given, else with one line."""
    name = name.strip().lower()
    try:
        return MailList.MailList(name, lock=lock)
    except Errors.MMUnknownListError:
        message = "No such list: %s" % name
        if text is not None:
            usage(text, message)
        print(message, file=sys.stderr)
        sys.exit(1)


def ask(prompt):
    """A line of standard input, without the end of line; '' at its end."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    return sys.stdin.readline().rstrip("\n")


def lines_of(path):
    """The lines of a file that say something; `-` is standard input."""
    if path == "-":
        lines = sys.stdin.readlines()
    else:
        with open(path) as file:
            lines = file.readlines()
    return [line.strip() for line in lines if line.strip()]
