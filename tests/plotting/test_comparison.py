from pathlib import Path

import numpy as np
from matplotlib.colors import to_hex

from nngmix.plotting import plot_comparison
from nngmix.plotting.style import BLUE, GREY, VERMILION

NAMES, MEANS = ["a", "b", "c", "d"], [0.2, 0.7, 0.65, 0.1]
INTERVALS = [(m - 0.1, m + 0.15) for m in MEANS]
WORSE = [True, False, False, True]


def test_best_on_top_with_its_interval(tmp_path: Path) -> None:
    figure = plot_comparison(NAMES, MEANS, INTERVALS, WORSE, chance=0.05, title="all")
    (panel,) = figure.axes
    assert [text.get_text() for text in panel.get_yticklabels()] == ["b", "c", "a", "d"]
    low, high = panel.get_ylim()
    assert low > high  # the first is above the others
    dots, lines = {}, {}
    for drawn in panel.collections:
        if len(drawn.get_offsets()) > 0 and hasattr(drawn, "get_sizes"):
            for x, y in drawn.get_offsets():
                dots[int(y)] = (float(x), to_hex(drawn.get_facecolor()[0]))
        else:
            for (left, y), (right, _) in drawn.get_segments():
                lines[int(y)] = (float(left), float(right))
    assert dots == {0: (0.7, VERMILION), 1: (0.65, BLUE), 2: (0.2, GREY), 3: (0.1, GREY)}
    for place, i in enumerate([1, 2, 0, 3]):
        np.testing.assert_allclose(lines[place], INTERVALS[i])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "best",
        "cannot be told apart from the best",
        "worse than the best",
        "guessing",
    ]
    figure.savefig(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_one_alone() -> None:
    figure = plot_comparison(["only"], [0.5], [(0.4, 0.6)], [False], quantity="AUCROC")
    assert figure.axes[0].get_xlabel().startswith("AUCROC")
    assert len(figure.legends[0].get_texts()) == 1
