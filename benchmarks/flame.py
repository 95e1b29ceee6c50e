"""A flame graph as an SVG file: boxes as wide as the time spent, callers below what they call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT, TOP = 1200, 16, 28
_LEAST = 0.4  # boxes narrower than so many pixels are left out
_LETTER = 6.2


@dataclass
class Box:
    """Time spent in calls of one name from one place, callees included."""

    name: str
    part: str
    total: float = 0.0
    inside: dict[str, Box] = field(default_factory=dict)

    def child(self, name: str, part: str) -> Box:
        """The box of a callee, made if it is new."""
        return self.inside.setdefault(name, Box(name, part))

    @property
    def depth(self) -> int:
        """Levels, this one counted."""
        return 1 + max((box.depth for box in self.inside.values()), default=0)


def draw(root: Box, title: str, colours: Mapping[str, str], unit: str = "ms") -> str:
    """The SVG's text; hovering over a box tells its name, time and share."""
    height = TOP + HEIGHT * root.depth + 8
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="6" y="17" font-size="13">{escape(title)}</text>',
    ]
    x = WIDTH - 6.0
    for part, colour in reversed(list(colours.items())):
        x -= _LETTER * len(part) + 22
        lines.append(f'<rect x="{x:.0f}" y="8" width="10" height="10" fill="{colour}"/>')
        lines.append(f'<text x="{x + 14:.0f}" y="17">{escape(part)}</text>')
    scale = WIDTH / root.total if root.total else 0.0
    _draw(lines, root, 0.0, height - 8 - HEIGHT, scale, root.total, colours, unit)
    return "\n".join([*lines, "</svg>", ""])


def _draw(
    lines: list[str],
    box: Box,
    x: float,
    y: int,
    scale: float,
    whole: float,
    colours: Mapping[str, str],
    unit: str,
) -> None:
    wide = box.total * scale
    if wide < _LEAST:
        return
    told = escape(f"{box.name}: {box.total:.3g} {unit}, {box.total / whole:.1%}")
    lines.append(
        f'<g><title>{told}</title><rect x="{x:.1f}" y="{y}" width="{max(wide - 0.3, 0.3):.1f}" '
        f'height="{HEIGHT - 1}" fill="{colours[box.part]}"/>'
    )
    letters = int((wide - 6) / _LETTER)
    if letters >= 3:
        shown = box.name if len(box.name) <= letters else box.name[: letters - 1] + "…"
        lines.append(f'<text x="{x + 3:.1f}" y="{y + 11}">{escape(shown)}</text>')
    lines.append("</g>")
    for inner in sorted(box.inside.values(), key=lambda one: -one.total):
        _draw(lines, inner, x, y - HEIGHT, scale, whole, colours, unit)
        x += inner.total * scale
