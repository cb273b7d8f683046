# A script for scripting.py: goes through the steps of a procedure on a copy of a list.
#
# Python 2.7 and 3, standard library alone; seen.py stands before it. Each step calls a function of
# a script that a reader would paste, with a list that is loaded anew, as withlist does. What the
# list has before and after each step follows a mark, which nothing else prints.
import base64
import json
import os
import sys
import types
import zlib

from Mailman import MailList

# Characters in a line: longer ones are passed on in pieces.
LINE = 4000

loaded = {}


def rehearse(m, order):
    order = as_str(json.loads(order))
    name = m.internal_name()
    tell(order, "state", kept(m, order))
    for number, step in enumerate(order["steps"]):
        if (step["site_dir"] == os.environ.get("MAILMAN_SITE_DIR")
                and step["list"] in (None, name)):
            tell(order, "begin", number)
            function = getattr(module(order, step["module"]), step["function"])
            function(MailList.MailList(name, lock=0), *step["arguments"])
            m = MailList.MailList(name, lock=0)
            tell(order, "state", kept(m, order))


def kept(m, order):
    return seen(m, order["attributes"], order["addresses"])  # noqa: F821  from seen.py


def module(order, name):
    if name not in loaded:
        loaded[name] = sys.modules[name] = types.ModuleType(name)
        text = order["modules"][name]
        exec(compile(text, name + ".py", "exec", 0, True), loaded[name].__dict__)
    return loaded[name]


def tell(order, kind, value):
    packed = base64.b64encode(zlib.compress(json.dumps(value).encode("ascii"))).decode("ascii")
    lines = [packed[at:at + LINE] for at in range(0, len(packed), LINE)]
    text = "".join("\n%s %s %s" % (order["mark"], kind if at == 0 else "more", line)
                   for at, line in enumerate(lines))
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def as_str(value):
    """`value` from JSON with text as this Python's own `str`."""
    if isinstance(value, dict):
        return dict((as_str(k), as_str(v)) for k, v in value.items())
    if isinstance(value, list):
        return [as_str(one) for one in value]
    if sys.version_info[0] == 2 and isinstance(value, type(u"")):
        return value.encode("utf-8")
    return value
