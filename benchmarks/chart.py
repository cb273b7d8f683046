"""A chart of time against number, both axes logarithmic, as an SVG for light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 400, 330
LEFT, RIGHT, TOP, BOTTOM = 54, 16, 56, 44

STYLE = """\
  text { font: 12px system-ui, sans-serif; fill: #3d3d3a; }
  .title { font-weight: 600; font-size: 13px; }
  .grid { stroke: #d9d9d4; stroke-width: 1; }
  .line { fill: none; stroke-width: 2.25; stroke-linejoin: round; }
  .c0 { stroke: #1668b8; } .d0 { fill: #1668b8; }
  .c1 { stroke: #12855c; } .d1 { fill: #12855c; }
  .c2 { stroke: #b4530a; } .d2 { fill: #b4530a; }
  .c3 { stroke: #7d5ba6; } .d3 { fill: #7d5ba6; }
  @media (prefers-color-scheme: dark) {
    text { fill: #dcdcd6; }
    .grid { stroke: #4a4a46; }
    .c0 { stroke: #69aef0; } .d0 { fill: #69aef0; }
    .c1 { stroke: #4cc596; } .d1 { fill: #4cc596; }
    .c2 { stroke: #f09a56; } .d2 { fill: #f09a56; }
    .c3 { stroke: #b99be0; } .d3 { fill: #b99be0; }
  }
"""

#: Told apart without colour as well.
DASHES = ("", "5 3", "", "2 3")
MARKS = ("circle", "circle", "square", "square")


@dataclass(frozen=True)
class Panel:
    """One chart of the picture. `lines`: (x, y) of each point, all above zero."""

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def svg(panels: Sequence[Panel], *, x_label: str, description: str) -> str:
    """The panels side by side, on the same axes, with one legend above them."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    points = [point for panel in panels for line in panel.lines.values() for point in line]
    x_axis = _decades([x for x, _ in points])
    y_axis = _decades([y for _, y in points])
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" role="img">',
        f"<title>{escape(description)}</title>",
        f"<style>\n{STYLE}</style>",
    ]
    for place, name in enumerate(names):
        x = LEFT + place * 150
        parts.append(f'<path class="line c{place}" d="M{x} 14h26" {_dash(place)}/>')
        parts.append(_mark(place, x + 13, 14))
        parts.append(f'<text x="{x + 33}" y="18">{escape(name)}</text>')
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({number * WIDTH} 0)">')
        parts += _panel(panel, names, x_axis, y_axis, x_label)
        parts.append("</g>")
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten that hold the values."""
    low, high = math.log10(min(values)), math.log10(max(values))
    return math.floor(low + 1e-9), math.ceil(high - 1e-9)


def _panel(
    panel: Panel,
    names: Sequence[str],
    x_axis: tuple[int, int],
    y_axis: tuple[int, int],
    x_label: str,
) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM

    def across(value: float) -> float:
        part = (math.log10(value) - x_axis[0]) / max(1, x_axis[1] - x_axis[0])
        return LEFT + part * (right - LEFT)

    def up(value: float) -> float:
        part = (math.log10(value) - y_axis[0]) / max(1, y_axis[1] - y_axis[0])
        return bottom - part * (bottom - TOP)

    parts = [f'<text class="title" x="{LEFT}" y="{TOP - 12}">{escape(panel.title)}</text>']
    for power in range(y_axis[0], y_axis[1] + 1):
        y = up(10**power)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(
            f'<text x="{LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{_seconds(power)}</text>'
        )
    for power in range(x_axis[0], x_axis[1] + 1):
        x = across(10**power)
        anchor = "end" if power == x_axis[1] else "middle"
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="{anchor}">{10**power:,}</text>'
        )
    middle = (LEFT + right) / 2
    parts.append(
        f'<text x="{middle:.1f}" y="{bottom + 34}" text-anchor="middle">{escape(x_label)}</text>'
    )
    for place, name in enumerate(names):
        line = [(across(x), up(y)) for x, y in panel.lines.get(name, ())]
        if not line:
            continue
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in line)
        parts.append(f'<path class="line c{place}" d="M{path}" {_dash(place)}/>')
        parts += [_mark(place, x, y) for x, y in line]
    return parts


def _seconds(power: int) -> str:
    return f"{10**power:,} s" if power >= 0 else f"{10.0**power:g} s"


def _dash(place: int) -> str:
    dashes = DASHES[place % len(DASHES)]
    return f'stroke-dasharray="{dashes}"' if dashes else ""


def _mark(place: int, x: float, y: float) -> str:
    if MARKS[place % len(MARKS)] == "circle":
        return f'<circle class="d{place}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    return f'<rect class="d{place}" x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6"/>'
