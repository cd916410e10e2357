import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from picture_checks import assert_legible

from nngmix.plotting import plot_differences
from nngmix.plotting.style import BLUE, VERMILION

NAN = float("nan")


def bars(figure: Figure) -> dict[str, tuple[float, str]]:
    """Length and colour by name."""
    (panel,) = figure.axes
    names = [text.get_text() for text in panel.get_yticklabels()]
    return {
        names[round(bar.get_y() + bar.get_height() / 2)]: (
            bar.get_width(),
            to_hex(bar.get_facecolor()),
        )
        for bar in panel.patches
    }


def test_sorted_with_gains_right_and_losses_left() -> None:
    given = {"wine": -0.02, "glass": 0.1, "gap": NAN, "yeast": 0.03, "http": 0.0}
    published = [NAN, 0.08, 0.01, 0.02, -0.01]
    figure = plot_differences(
        list(given), list(given.values()), published=published, quantity="gain", title="all"
    )
    (panel,) = figure.axes
    shown = [text.get_text() for text in panel.get_yticklabels()]
    assert shown == ["glass", "yeast", "http", "wine", "gap"]
    low, high = panel.get_ylim()
    assert low > high  # the first is above the others
    assert bars(figure) == {"glass": (0.1, BLUE), "yeast": (0.03, BLUE), "wine": (-0.02, VERMILION)}
    texts = [text.get_text() for text in panel.texts]
    assert texts == ["+0.100", "+0.030", "0.000", "−0.020", "–"]
    marks = [tuple(mark) for mark in panel.collections[0].get_offsets() if np.isfinite(mark).all()]
    assert marks == [(0.08, 0), (0.02, 1), (-0.01, 2), (0.01, 4)]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["published"]
    assert panel.get_xlabel() == "gain"
    assert_legible(figure)


@pytest.mark.parametrize("n", [1, 2, 47])
def test_any_number_of_datasets(n: int) -> None:
    names = [f"Cardiotocography {i}" for i in range(n)]
    figure = plot_differences(names, np.random.default_rng(n).normal(0, 0.1, n), title="all " * 40)
    assert len(bars(figure)) == n
    assert figure.legends == []
    assert_legible(figure)


def test_nothing_known() -> None:
    figure = plot_differences(["a", "b"], [NAN, NAN], published=[NAN, NAN])
    assert bars(figure) == {}
    assert figure.legends == []
    assert_legible(figure)


@pytest.mark.parametrize(
    ("names", "differences", "published"),
    [([], [], None), (["a"], [0.1, 0.2], None), (["a"], [0.1], [0.1, 0.2])],
)
def test_refuses(names: list[str], differences: list[float], published: list[float] | None) -> None:
    with pytest.raises(ValueError, match="must be of one length, one or more"):
        plot_differences(names, differences, published=published)
