"""Charts as Vega-Lite specifications: curves, accuracies, heat maps, points.

A chart is JSON, which a report embeds and a notebook shows as a drawing. Colours are those of Okabe and Ito, and a shape or a dash goes
with each, so that nobody needs to tell colours apart. Accuracies are fractions in [0, 1] and shown in per cent.
"""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from condense.runtime.extras import needed
from synth.files.atomic import write_bytes

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#8C6D31")
# Seven beside eight colours, so that a pair of colour and shape comes back after 56 series and not after eight.
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right")
DASHES = ((1, 0), (6, 3), (2, 2), (8, 2, 2, 2), (12, 3), (4, 4), (1, 3))
WIDE, HIGH = 460, 260
LINE = 52  # letters of a title's line
TEXTED = 15  # rows and columns of a heat map with numbers in it


class Plot:
    """A chart that Jupyter shows as a drawing. `spec` is its Vega-Lite specification."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec

    def __repr__(self) -> str:
        titles = [" ".join(spec["title"]["text"]) for spec in self.spec.get("hconcat", [self.spec])]
        return f"Plot({', '.join(titles)!r})"

    def svg(self) -> str:
        """The drawing as the text of an SVG file. Raises BadInput where the extra `report` is not installed."""
        spec = {**self.spec, "width": WIDE} if self.spec.get("width") == "container" else self.spec
        return needed("vl_convert", "a drawing", extra="report").vegalite_to_svg(spec)

    _repr_svg_ = svg

    def save(self, path: str | Path) -> None:
        """Writes the drawing as an SVG file, or the specification where the name ends in `.json`. Raises BadInput for an SVG file where the
        extra `report` is not installed, and where the file cannot be written."""
        text = json.dumps(self.spec, indent=1) if Path(path).suffix == ".json" else self.svg()
        write_bytes(path, text.encode())


def library() -> Any:
    """The library of charts, the module `altair`. Raises BadInput where the extra `report` is not installed."""
    return needed("altair", "a chart", extra="report")


def finished(chart: Any, title: str, *, height: int = HIGH) -> dict[str, Any]:
    """The Vega-Lite specification, a dict, of a chart of `library()`: as wide as the place where it is shown, `height` pixels high, under
    its title, which folds at words."""
    alt = library()
    named = alt.Title(textwrap.wrap(title, LINE), anchor="start", fontSize=13)
    sized = chart.properties(width="container", height=height, title=named)
    axes = sized.configure_view(stroke=None).configure_axis(labelFontSize=11, titleFontSize=11, labelLimit=140)
    return axes.configure_legend(symbolLimit=0).to_dict()  # all entries; Vega drops those after 30 otherwise


def series(values: Sequence[str], *, scale: Sequence[Any] = COLOURS) -> Any:
    """A scale of `library()` that gives each of the names in `values` one of `scale` (colours, shapes or dashes), in the order in which
    names first occur, and again from the first where there are more names."""
    names = list(dict.fromkeys(values))
    return library().Scale(domain=names, range=[scale[at % len(scale)] for at in range(len(names))])


def curves(columns: Mapping[str, Sequence[tuple[float, float]]], *, title: str, measure: str, per_cent: bool = False) -> dict[str, Any]:
    """Lines over the steps of runs, as a Vega-Lite specification.

    Args:
      columns: (step, value) of each line by its name.
      measure: what the values are. per_cent: whether they are fractions that are shown in per cent.
    """
    alt = library()
    rows = [{"step": step, "value": value, "line": name} for name, points in columns.items() for step, value in points]
    names = list(columns)
    axis = alt.Axis(format="%") if per_cent else alt.Axis()
    label = alt.Legend(title=None, orient="bottom", columns=2, labelLimit=260) if len(names) > 1 else None
    chart = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("step:Q", title="step"),
        y=alt.Y("value:Q", title=measure, axis=axis, scale=alt.Scale(zero=False)),
        color=alt.Color("line:N", scale=series(names), legend=label),
        strokeDash=alt.StrokeDash("line:N", scale=series(names, scale=[list(dash) for dash in DASHES]), legend=label),
        tooltip=["line:N", "step:Q", alt.Tooltip("value:Q", format=".4g")],
    )
    return finished(chart.mark_line(point=all(len(points) < 30 for points in columns.values())), title)


def accuracies(rows: Sequence[Mapping[str, Any]], *, x: str, title: str, axis: str) -> dict[str, Any]:
    """Accuracy of sets against a size on a logarithmic axis, a point a set with its spread, as a Vega-Lite specification; a menu chooses
    one of several groups.

    Args:
      rows: each with `group`, `method`, `mean`, the ends of the spread `low` and `high` (all fractions), and the size under the key `x`.
      axis: what the size is, in words.
    """
    alt = library()
    methods, groups = [row["method"] for row in rows], list(dict.fromkeys(row["group"] for row in rows))
    size = alt.X(f"{x}:Q", title=axis, scale=alt.Scale(type="log", nice=False, padding=20))
    label = alt.Legend(title=None, orient="bottom", columns=2)
    base = alt.Chart(alt.Data(values=[dict(row) for row in rows])).encode(x=size)
    points = base.mark_point(filled=True, size=80).encode(
        y=alt.Y("mean:Q", title="accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False)),
        color=alt.Color("method:N", scale=series(methods), legend=label),
        shape=alt.Shape("method:N", scale=series(methods, scale=SHAPES), legend=label),
        tooltip=["method:N", "group:N", alt.Tooltip("mean:Q", format=".1%"), alt.Tooltip(f"{x}:Q", format=",")],
    )
    spread = base.mark_rule().encode(y="low:Q", y2="high:Q", color=alt.Color("method:N", scale=series(methods), legend=label))
    chart = spread + points
    if len(groups) > 1:
        chosen = alt.param(name="group", value=groups[0], bind=alt.binding_select(options=groups, name="shown: "))
        chart = chart.add_params(chosen).transform_filter("datum.group == group")
    return finished(chart, title)


def bars(rows: Sequence[Mapping[str, Any]], *, title: str) -> dict[str, Any]:
    """Accuracies as points with their spread, a line of the chart for each row, one beside the other for each network, as a Vega-Lite
    specification.

    Args:
      rows: each with the names `row` and `net`, `mean`, and the ends of the spread `low` and `high`, as fractions.
    """
    alt = library()
    nets = [row["net"] for row in rows]
    label = alt.Legend(title=None, orient="bottom", columns=1, labelLimit=400) if len(set(nets)) > 1 else None
    base = alt.Chart(alt.Data(values=[dict(row) for row in rows])).encode(
        y=alt.Y("row:N", sort=list(dict.fromkeys(row["row"] for row in rows)), title=None),
        yOffset=alt.YOffset("net:N"),
        color=alt.Color("net:N", scale=series(nets), legend=label),
    )
    means = alt.X("mean:Q", title="accuracy", axis=alt.Axis(format="%"), scale=alt.Scale(zero=False, padding=20))
    tips = ["row:N", "net:N", alt.Tooltip("mean:Q", format=".1%")]
    shape = alt.Shape("net:N", scale=series(nets, scale=SHAPES), legend=label)
    chart = base.mark_rule().encode(x="low:Q", x2="high:Q") + base.mark_point(filled=True, size=80).encode(
        x=means, shape=shape, tooltip=tips
    )
    return finished(chart, title, height=max(80, 24 * len(rows)))


def side_by_side(specs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One Vega-Lite specification of several charts, at least one, beside each other, each WIDE pixels wide."""
    held = {name: values for spec in specs for name, values in spec.get("datasets", {}).items()}
    panels = [
        {name: value for name, value in spec.items() if name not in ("$schema", "config", "datasets")} | {"width": WIDE} for spec in specs
    ]
    return {"$schema": specs[0]["$schema"], "config": specs[0]["config"], "hconcat": panels, "datasets": held}


def heat_map(rows: Sequence[Mapping[str, Any]], *, title: str, below: str, beside: str, per_cent: bool = False) -> dict[str, Any]:
    """Numbers as shades from light to dark, readable in grey, as a Vega-Lite specification. Of at most TEXTED rows and columns each shade
    has its number in it.

    Args:
      rows: each with `column`, `row` and `value`, in the order in which rows and columns stand.
      below, beside: what columns and rows are, in words.
      per_cent: True: values are fractions, shown in per cent, and shades go from the smallest to the largest. False: whole numbers, and
        shades begin at 0.
    """
    alt = library()
    across, down = (list(dict.fromkeys(row[name] for row in rows)) for name in ("column", "row"))
    most = max((row["value"] for row in rows), default=1.0)
    least = min((row["value"] for row in rows), default=0.0) if per_cent else 0.0
    text = ".1%" if per_cent else ",d"
    base = alt.Chart(alt.Data(values=[dict(row) for row in rows])).encode(
        x=alt.X("column:N", sort=across, title=below, axis=alt.Axis(labelAngle=-25, labelLimit=220)),
        y=alt.Y("row:N", sort=down, title=beside),
    )
    shade = alt.Color(
        "value:Q", scale=alt.Scale(scheme="cividis", reverse=True, domain=[least, most]), legend=alt.Legend(format=text, title=None)
    )
    chart = base.mark_rect(stroke="white").encode(color=shade, tooltip=["row:N", "column:N", alt.Tooltip("value:Q", format=text)])
    if max(len(across), len(down)) <= TEXTED:
        dark = alt.condition(f"datum.value > {(least + most) / 2}", alt.value("white"), alt.value("black"))
        chart = chart + base.mark_text(fontSize=11).encode(text=alt.Text("value:Q", format=text), color=dark)
    return finished(chart, title, height=max(80, min(600, 26 * len(down))))


def scatter(places: Float[ndarray, "n 2"], of: Sequence[str], kinds: Sequence[str], *, title: str, axes: tuple[str, str]) -> dict[str, Any]:
    """Points in a plane by class and kind, as a Vega-Lite specification; axes have no numbers.

    Args:
      places: right and up of each point.
      of: the class of each point, which is its colour.
      kinds: of each point, such as synthetic and real: the first kind is drawn as large diamonds, the second as small circles.
      axes: what right and up are, in words.
    """
    alt = library()
    rows = [{"x": float(x), "y": float(y), "class": c, "kind": kind} for (x, y), c, kind in zip(places, of, kinds, strict=True)]
    known = list(dict.fromkeys(kinds))
    label = alt.Legend(title=None, orient="bottom", columns=3)
    chart = alt.Chart(alt.Data(values=rows)).mark_point(filled=True).encode(
        x=alt.X("x:Q", title=axes[0], axis=alt.Axis(labels=False)),
        y=alt.Y("y:Q", title=axes[1], axis=alt.Axis(labels=False)),
        color=alt.Color("class:N", scale=series(of), legend=label),
        shape=alt.Shape("kind:N", scale=series(known, scale=("diamond", "circle")), legend=label),
        size=alt.Size("kind:N", scale=series(known, scale=(110, 14)), legend=label),
        tooltip=["class:N", "kind:N"],
    )  # fmt: skip
    return finished(chart, title, height=360)
