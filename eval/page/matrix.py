"""A square of probabilities: how often one allocator is better than another."""

from __future__ import annotations

from collections.abc import Sequence

from .draw import WIDTH, Drawing, shorten

LEFT, TOP, LEAST_CELL, MOST_CELL = 112.0, 24.0, 17.0, 34.0


def square(names: Sequence[str], parts: Sequence[Sequence[float]], alt: str) -> str:
    """Return an SVG with a cell for each pair, in percent.

    Blue is where the row is better, orange where the column is; the numbers say the same. Columns
    bear the numbers of the rows, because there is no space for names.

    Args:
        names: Of rows and columns.
        parts: Probability that the row is better than the column, (names, names).
        alt: What it shows, in a sentence.
    """
    n = len(names)
    cell = min(max((WIDTH - LEFT - 4) / n, LEAST_CELL), MOST_CELL)
    drawing = Drawing(TOP + cell * n + 6, max(WIDTH, LEFT + cell * n + 4))
    for i, name in enumerate(names):
        y = TOP + cell * (i + 0.5)
        drawing.text(LEFT + cell * (i + 0.5), TOP - 7, str(i + 1), "soft middle")
        drawing.text(4, y + 3.5, f"{i + 1}", "soft")
        drawing.text(20, y + 3.5, shorten(name, 14), title=name)
        for j, other in enumerate(names):
            x = LEFT + cell * j
            if i == j:
                continue
            part = parts[i][j]
            box = {"x": x + 0.5, "y": TOP + cell * i + 0.5, "width": cell - 1, "height": cell - 1}
            title = f"{name} better than {other}: {100 * part:.0f} %"
            strength = f"{0.65 * abs(2 * part - 1):.2f}"
            kind = "cell k0" if part >= 0.5 else "cell k1"
            drawing.add("rect", title, class_=kind, fill_opacity=strength, **box)
            size = "tiny middle" if cell < 22 else "middle"
            drawing.text(x + cell / 2, y + 3.5, f"{100 * part:.0f}", size)
    return drawing.svg(alt)
