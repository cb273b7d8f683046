"""Makes the README's pictures: the page as built in build/html, and a run in a terminal.

    python -m tests.page.pictures

Build the pages first, with tox -e page.
"""

from __future__ import annotations

import html
import os
import sys
import tempfile
from pathlib import Path

import pyte
from playwright.sync_api import Browser, sync_playwright

from runbooks.testing.page import reader
from tests.page.view import browser as browsers

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "doc" / "pictures"
COMMAND = "runbook ban target@example.com"
COLOURS = {"green": "#7ee787", "red": "#ff7b72", "brown": "#e3b341", "cyan": "#79c0ff"}
TERMINAL = """<style>
body { background: #0d1117; margin: 0; padding: 20px 24px; width: max-content; }
pre { color: #e6edf3; font: 15px/1.45 "DejaVu Sans Mono", monospace; margin: 0; }
</style><pre>%s</pre>"""


def take_page(browser: Browser) -> None:
    """The procedure that is needed most."""
    context = browser.new_context(
        viewport={"width": 1180, "height": 760}, reduced_motion="reduce", color_scheme="light"
    )
    page = context.new_page()
    page.goto(f"{(ROOT / 'build' / 'html' / 'lists.html').as_uri()}#ban")
    page.wait_for_timeout(500)
    page.screenshot(path=PICTURES / "page.png")
    context.close()


def take_run(browser: Browser) -> None:
    """A ban on a practice site, where one list is held up by a stale lock."""
    screen = pyte.Screen(200, 1000)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        site = {"HOME": str(folder), "RUNBOOK_HOST": f"practice:{folder}/practice"}
        made = reader.by_command("runbook practice new ~/practice", "", site, folder)
        assert made.status == 0, made.text
        reader.by_command(COMMAND, "", site, folder, {r"\[y/N\] ": "y"}, screen)
    text = f"$ {COMMAND}\n{coloured(screen)}"
    context = browser.new_context(viewport={"width": 1100, "height": 300}, device_scale_factor=1)
    page = context.new_page()
    page.set_content(TERMINAL % text)
    page.locator("body").screenshot(path=PICTURES / "run.png")
    context.close()


def coloured(screen: pyte.Screen) -> str:
    """What stands on a screen, as HTML."""
    lines = []
    for number in range(screen.cursor.y):
        row = screen.buffer[number]
        cells = [row[column] for column in range(screen.columns)]
        while cells and cells[-1].data == " ":
            cells.pop()
        line = ""
        for cell in cells:
            style = f"color:{COLOURS[cell.fg]};" if cell.fg in COLOURS else ""
            style += "font-weight:bold;" if cell.bold else ""
            data = html.escape(cell.data)
            line += f'<span style="{style}">{data}</span>' if style else data
        lines.append(line)
    return "\n".join(lines)


def main() -> int:
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browsers.obtain(print), args=list(browsers.FLAGS)
        )
        take_page(browser)
        take_run(browser)
        browser.close()
    for picture in sorted(PICTURES.glob("*.png")):
        print(f"{picture.relative_to(ROOT)}: {os.path.getsize(picture):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
