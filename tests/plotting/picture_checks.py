"""What every picture must be: readable."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def assert_legible(figure: Figure) -> None:
    """All texts are inside the picture, none is on another, and none is tiny."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    shown = [text for text in texts(figure) if text.get_text().strip()]
    assert shown
    boxes = {text: text.get_window_extent(renderer) for text in shown}
    for text, box in boxes.items():
        assert text.get_fontsize() >= 8, text
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y1 <= figure.bbox.y1, text
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        # Turned texts have boxes larger than themselves.
        if not (one.get_rotation() % 90 or other.get_rotation() % 90):
            assert not a.overlaps(b), (one, other)


def texts(figure: Figure) -> list[Text]:
    """Every text that is drawn."""
    found = list(figure.texts)
    for legend in figure.legends:
        found += legend.get_texts()
    for panel in figure.axes:
        found += panel.texts
        found.append(panel.title)
        if panel.axison:
            for axis in (panel.xaxis, panel.yaxis):
                low, high = sorted(axis.get_view_interval())
                found.append(axis.label)
                found += [
                    label
                    for label, place in zip(
                        axis.get_majorticklabels(), axis.get_majorticklocs(), strict=True
                    )
                    if low <= place <= high and label.get_visible()
                ]
    return list(dict.fromkeys(found))
