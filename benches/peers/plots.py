"""The plots of a run, as SVG that follows the reader's choice of light or dark."""

from __future__ import annotations

import dataclasses
import math
import statistics
from pathlib import Path
from xml.etree import ElementTree as xml

from .record import Record, Results
from .table import NAMES, seconds, size

WIDTH = 840
#: Space on the left of the axes and on the right.
LEFT, RIGHT = 64, 24
#: Height of a line of labels.
LINE = 16

#: Colours of the systems for light and for dark: Okabe and Ito's, which colour-blind readers tell
#: apart, made darker or lighter.
COLOURS = {
    "blindscore": ("#0062a3", "#5cb8ff"),
    "concrete": ("#b34700", "#ff9a4d"),
    "tenseal": ("#00744f", "#3fd6a0"),
    "openfhe": ("#9a3f78", "#f095cb"),
}

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328;
  paint-order: stroke; stroke: #ffffff; stroke-width: 3px; }
.title { font-size: 15px; font-weight: 600; }
.axis { fill: #59636e; font-size: 12px; }
.ground { fill: #ffffff; }
.grid { stroke: #d8dee4; fill: none; }
.clear { stroke: #59636e; stroke-dasharray: 5 4; fill: none; }
%(light)s
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; stroke: #0d1117; }
.axis { fill: #9198a1; }
.ground { fill: #0d1117; }
.grid { stroke: #30363d; }
.clear { stroke: #9198a1; }
%(dark)s
}
"""


def width(text: str) -> float:
    """Returns about how wide a label is, in DejaVu Sans, the widest of the fonts."""
    kinds = ((4.2, " ,.:ijl"), (12.7, "mwMW"), (9.0, "ABCDEFGHKLNOPRSTUVXYZ"))
    return sum(next((wide for wide, letters in kinds if letter in letters), 8.0) for letter in text)


def colours(place: int) -> str:
    """Returns the rules of the systems' colours."""
    rules = []
    for name, pair in COLOURS.items():
        colour = pair[place]
        rules.append(f".{name} {{ fill: {colour}; }} .{name}-line {{ stroke: {colour}; stroke-width: 2; fill: none; }}")
        rules.append(f".{name}-ring {{ stroke: {colour}; stroke-width: 2; }}")
    return "\n".join(rules)


def drawing(height: float, title: str, description: str) -> xml.Element:
    """Returns an empty drawing with its style, and with a title for those who don't see it."""
    attributes = {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {WIDTH} {height:.0f}", "width": str(WIDTH)}
    root = xml.Element("svg", {**attributes, "height": f"{height:.0f}", "role": "img", "aria-labelledby": "title description"})
    xml.SubElement(root, "title", id="title").text = title
    xml.SubElement(root, "desc", id="description").text = description
    xml.SubElement(root, "style").text = STYLE % {"light": colours(0), "dark": colours(1)}
    add(root, "rect", "ground", width=WIDTH, height=height)
    return root


def add(root: xml.Element, tag: str, kind: str, text: str | None = None, **attributes: float | str) -> None:
    """Adds an element. Numbers are written with one decimal; underscores stand for hyphens."""
    values = {name.replace("_", "-"): value if isinstance(value, str) else f"{value:.1f}" for name, value in attributes.items()}
    element = xml.SubElement(root, tag, {"class": kind, **values})
    element.text = text


@dataclasses.dataclass
class Axis:
    """A logarithmic axis from left to right, over whole powers of ten."""

    low: int
    high: int
    left: float
    right: float

    @classmethod
    def over(cls, values: list[float], left: float, right: float) -> Axis:
        return cls(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))), left, right)

    def __call__(self, value: float) -> float:
        return self.left + (math.log10(value) - self.low) / (self.high - self.low) * (self.right - self.left)

    def powers(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


@dataclasses.dataclass
class Box:
    """A rectangle that is taken."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        return self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom


class Labels:
    """Labels beside points, where nothing else is."""

    def __init__(self, bounds: Box) -> None:
        self._bounds = bounds
        self._taken: list[Box] = []

    def point(self, x: float, y: float) -> None:
        """Keeps the place of a point free."""
        self._taken.append(Box(x - 8, y - 8, x + 8, y + 8))

    def line(self, y: float) -> None:
        """Keeps a line from left to right free."""
        self._taken.append(Box(self._bounds.left, y - 2, self._bounds.right, y + 2))

    def place(self, x: float, y: float, text: str) -> tuple[float, float]:
        """Returns where the label of a point begins: its left end and its base line."""
        wide = width(text)
        around = [(x - wide / 2, y - 14), (x - wide / 2, y + 24), (x + 12, y + 4), (x - wide - 12, y + 4)]
        slanted = [(left, y + down) for down in (-14, 24, -32, 42, -50, 60) for left in (x - wide / 2, x + 4, x - wide - 4)]
        for left, base in around + slanted:
            box = Box(left - 5, base - LINE + 4, left + wide + 5, base + 4)
            inside = (
                self._bounds.left <= box.left
                and box.right <= self._bounds.right
                and self._bounds.top <= box.top
                and box.bottom <= self._bounds.bottom
            )
            if inside and not any(box.meets(other) for other in self._taken):
                self._taken.append(box)
                return left, base
        return around[2]


@dataclasses.dataclass
class Point:
    """A system at a task: how long a row takes, and how many are decided rightly."""

    system: str
    seconds: float
    right: float
    many: bool

    def label(self) -> str:
        return f"{NAMES[self.system]}{', many rows' if self.many else ''} {seconds(self.seconds)}"


def points(records: list[Record]) -> list[Point]:
    """Returns the points of a task."""
    found = []
    for record in records:
        if record.agreement is None or not record.agreement.rows:
            continue
        right = record.agreement.right / record.agreement.rows
        found.append(Point(record.system, statistics.median(record.row_s()), right, False))
        # A batch of ours is requests at the same time: nearly the same point.
        if record.batch is not None and record.system != "blindscore":
            found.append(Point(record.system, record.batch.score_s / record.batch.rows, right, True))
    return found


PANEL, TOP, BOTTOM = 230, 40, 34


def accuracy(results: Results) -> xml.Element:
    """Draws time against accuracy, a panel for each task."""
    panels = [(task, points(results.of(task.name))) for task in results.tasks]
    times = [point.seconds for _, found in panels for point in found]
    title = "Time of a row on the server, against the share of rows decided rightly"
    told = [f"{task.title}: " + ", ".join(f"{point.label()}, {point.right:.1%} right" for point in found) for task, found in panels]
    root = drawing(PANEL * len(panels) + 28, title, ". ".join(told) + ".")
    if not times:
        return root
    axis = Axis.over(times, LEFT, WIDTH - RIGHT)
    for place, (task, found) in enumerate(panels):
        top = place * PANEL
        add(root, "text", "title", task.title, x=LEFT, y=top + 24)
        panel(root, axis, Box(LEFT, top + TOP, WIDTH - RIGHT, top + PANEL - BOTTOM), found, task.right)
    add(
        root,
        "text",
        "axis",
        "time of a row on the server (filled: one at a time; ring: many rows of a client at once)",
        x=LEFT,
        y=PANEL * len(panels) + 14,
    )
    return root


def panel(root: xml.Element, axis: Axis, area: Box, found: list[Point], clear: float) -> None:
    """Draws a task's points. The axis of accuracy is at least two percent high."""
    rights = [clear, *(point.right for point in found)]
    middle, half = (min(rights) + max(rights)) / 2, max(0.01, (max(rights) - min(rights)) * 0.75)

    def height(right: float) -> float:
        return area.bottom - (right - middle + half) / (2 * half) * (area.bottom - area.top)

    for power in axis.powers():
        x = axis(power)
        add(root, "line", "grid", x1=x, x2=x, y1=area.top, y2=area.bottom)
        add(root, "text", "axis", f"{seconds(power)}".replace(".00", "").replace(".0", ""), x=x, y=area.bottom + 18, text_anchor="middle")
    step = 0.005 if half <= 0.0125 else 0.01 if half <= 0.03 else 0.02
    for tick in range(math.ceil((middle - half) / step), math.floor((middle + half) / step) + 1):
        y = height(tick * step)
        if y < area.top + 4:
            continue
        add(root, "line", "grid", x1=area.left, x2=area.right, y1=y, y2=y)
        add(root, "text", "axis", f"{tick * step:.1%}".replace("%", " %"), x=area.left - 8, y=y + 4, text_anchor="end")
    y = height(clear)
    add(root, "line", "clear", x1=area.left, x2=area.right, y1=y, y2=y)
    # Labels may stand a little to the right of the last line.
    labels = Labels(dataclasses.replace(area, right=area.right + 8))
    labels.line(y)
    for point in found:
        labels.point(axis(point.seconds), height(point.right))
    # Rings first, so that they hide no point.
    for point in sorted(found, key=lambda point: not point.many):
        x, y = axis(point.seconds), height(point.right)
        kind = f"ground {point.system}-ring" if point.many else point.system
        add(root, "circle", kind, cx=x, cy=y, r=6.0)
        left, base = labels.place(x, y, point.label())
        add(root, "text", point.system, point.label(), x=left, y=base)
    # The note comes last, since it may stand anywhere near its line.
    note = f"in the clear {clear:.1%}".replace("%", " %")
    x, base = labels.place(area.right - width(note) / 2, height(clear), note)
    add(root, "text", "axis", note, x=x, y=base)


#: Height of a line of sizes, and widths of the systems' names.
ROW, NAME = 20, 110
PARTS = (("evaluation keys", "key_bytes"), ("query", "query_bytes"), ("response", "response_bytes"))


def sizes(results: Results) -> xml.Element:
    """Draws the bytes of keys, query and response."""
    groups = [(task, [record for record in results.of(task.name) if record.facts]) for task in results.tasks]
    heights = [44 + sum(ROW * len(PARTS) + 10 for _ in records) for _, records in groups]
    values = [float(getattr(record.facts, part)) for _, records in groups for record in records for _, part in PARTS]
    told = [
        f"{task.title}: " + "; ".join(f"{NAMES[record.system]} " + ", ".join(told_size(record, *part) for part in PARTS) for record in records)
        for task, records in groups
    ]
    root = drawing(sum(heights) + 44, "Bytes that travel: evaluation keys once, a query and a response for each row", ". ".join(told) + ".")
    if not values:
        return root
    left, right = LEFT + NAME, WIDTH - RIGHT - 150
    axis = Axis.over([*values, 10.0], left, right)
    top = 0.0
    for (task, records), height in zip(groups, heights, strict=True):
        add(root, "text", "title", task.title, x=24, y=top + 24)
        for power in axis.powers():
            add(root, "line", "grid", x1=axis(power), x2=axis(power), y1=top + 36, y2=top + height - 4)
        y = top + 50
        for record in records:
            add(root, "text", record.system, NAMES[record.system], x=24, y=y + 4, font_weight="600")
            for name, part in PARTS:
                x = axis(getattr(record.facts, part))
                add(root, "line", f"{record.system}-line", x1=axis.left, x2=x, y1=y, y2=y)
                add(root, "circle", record.system, cx=x, cy=y, r=5.0)
                add(root, "text", record.system, told_size(record, name, part), x=x + 11, y=y + 4)
                y += ROW
            y += 10
        top += height
    for power in axis.powers():
        add(root, "text", "axis", size(power).replace(".00", "").replace(".0", ""), x=axis(power), y=top + 12, text_anchor="middle")
    add(root, "text", "axis", "bytes, each line ten times the one before", x=axis.left, y=top + 32)
    return root


def told_size(record: Record, name: str, part: str) -> str:
    return f"{name} {size(getattr(record.facts, part))}"


def write(results: Results, folder: Path) -> None:
    """Writes both plots."""
    for name, root in (("accuracy", accuracy(results)), ("bytes", sizes(results))):
        xml.indent(root)
        (folder / f"{name}.svg").write_text(xml.tostring(root, encoding="unicode") + "\n")
