"""How what is found on a host becomes JSON, on every Python that Mailman's programs run on."""

from __future__ import annotations

import json
import subprocess

from runbooks.onhost import source

SHOW = """
values = [
    b"caf\\xc3\\xa9", b"caf\\xe9", u"caf\\u00e9", b"", b"\\"\\n\\0", [b"\\xff", (1, None)],
    {b"caf\\xe9": b"caf\\xe9"}, {u"a": [{"b": (b"\\xc3",)}]}, 2.5, True,
]
sys.stdout.write("\\n".join(as_json(value).decode("ascii") for value in values))
"""


def test_bytes_that_are_no_text_come_through(python: str) -> None:
    done = subprocess.run(
        [python, "-c", source("boot") + SHOW], capture_output=True, text=True, check=True
    )
    assert [json.loads(line) for line in done.stdout.split("\n")] == [
        "café",
        "caf\udce9",
        "café",
        "",
        '"\n\0',
        ["\udcff", [1, None]],
        {"caf\udce9": "caf\udce9"},
        {"a": [{"b": ["\udcc3"]}]},
        2.5,
        True,
    ]
