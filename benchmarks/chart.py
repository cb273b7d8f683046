"""A chart of time against number, both axes logarithmic, as an SVG for light and dark pages."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

TEXT, GRID = "#3d3d3a", "#d9d9d4"
LINES = ("#1668b8", "#12855c", "#b4530a", "#7d5ba6")
#: The colours on a dark page.
DARK = dict(
    zip(
        (TEXT, GRID, *LINES),
        ("#dcdcd6", "#4a4a46", "#69aef0", "#4cc596", "#f09a56", "#b99be0"),
        strict=True,
    )
)
#: Told apart without colour as well.
STYLES = ("o-", "o--", "s-", "s:")

SETTINGS = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "the same ids in every run",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": GRID,
    "grid.color": GRID,
    "xtick.color": TEXT,
    "ytick.color": TEXT,
}


@dataclass(frozen=True)
class Panel:
    """One chart of the picture. `lines`: (x, y) of each point, all above zero."""

    title: str
    lines: Mapping[str, Sequence[tuple[float, float]]]


def svg(panels: Sequence[Panel], *, columns: int, x_label: str, description: str) -> str:
    """The panels, so many side by side, on the same axes, with one legend above them."""
    rows = math.ceil(len(panels) / columns)
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(4 * columns, 3.5 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat
        drawn = {}
        for panel, axis in zip(panels, axes, strict=True):
            for name, color, style in zip(names, LINES, STYLES, strict=False):
                xs, ys = zip(*panel.lines.get(name, [(math.nan, math.nan)]), strict=True)
                (drawn[name],) = axis.loglog(xs, ys, style, color=color, markersize=5)
            axis.set_title(panel.title, loc="left", fontsize=10, fontweight="bold")
            axis.set_xlabel(x_label)
            axis.grid()
            axis.minorticks_off()
            axis.tick_params(length=0, labelleft=True, labelbottom=True)
            axis.spines[:].set_visible(False)
            axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:,g} s"))
        figure.legend(
            drawn.values(), drawn, loc="outside upper left", ncols=len(names), frameon=False
        )
        target = io.StringIO()
        metadata = {"Title": description, "Creator": None, "Date": None}
        figure.savefig(target, format="svg", transparent=True, metadata=metadata)
    return target.getvalue().replace("</style>", f"{dark()}</style>", 1)


def dark() -> str:
    """The rules that put every colour of the chart in its place on a dark page."""
    rules = [
        f'[style*="{what}: {light}"] {{ {what}: {color} !important }}'
        for light, color in DARK.items()
        for what in ("stroke", "fill")
    ]
    return "\n@media (prefers-color-scheme: dark) {\n" + "\n".join(rules) + "\n}\n"
