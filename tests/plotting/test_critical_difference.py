import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from picture_checks import assert_legible

from nngmix.experiments.statistics import rank_methods
from nngmix.plotting import plot_critical_difference
from nngmix.plotting.style import VERMILION


def leaders(figure: Figure) -> list[tuple[float, float, float]]:
    """Where each name's line begins on the axis, at which row it ends, and at which side."""
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    found = []
    for line in lines:
        x, y = line.get_data()
        assert (y[0], x[0], y[1]) == (0, x[1], y[2])
        found.append((float(x[0]), float(y[2]), float(x[2])))
    return found


def bars(figure: Figure) -> list[tuple[float, float, float]]:
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert {to_hex(line.get_color()) for line in lines} <= {VERMILION}
    return [(*map(float, line.get_xdata()), float(line.get_ydata()[0])) for line in lines]


def names(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if "  " in text.get_text()]


def test_published_example() -> None:
    # Demšar (2006), Fig. 1 (a): one bar joins all four.
    given = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]
    figure = plot_critical_difference(given, [3.143, 2.000, 2.893, 1.964], 1.25, title="AUC")
    assert figure.get_suptitle() == "AUC"
    assert names(figure) == ["C4.5+m+cf  1.96", "C4.5+m  2.00", "2.89  C4.5+cf", "3.14  C4.5"]
    assert [start for start, _, _ in leaders(figure)] == [1.964, 2.0, 2.893, 3.143]
    # The best two at the left.
    assert [end < 1 for _, _, end in leaders(figure)] == [True, True, False, False]
    ((low, high, _),) = bars(figure)
    assert low == pytest.approx(1.964, abs=0.05)
    assert high == pytest.approx(3.143, abs=0.05)
    assert "critical difference 1.25" in [text.get_text() for text in figure.axes[0].texts]
    assert_legible(figure)


def test_no_two_lines_cross() -> None:
    ranks = np.linspace(1.2, 12.7, 13)
    drawn = leaders(plot_critical_difference(list("abcdefghijklm"), ranks, 1))
    for start, row, end in drawn:
        for other, other_row, _ in drawn:
            between = min(start, end) < other < max(start, end)
            # What goes across passes below where the other has ended, or turns.
            assert not (between and other_row > row)


@pytest.mark.parametrize("k", [2, 3, 5, 8, 13])
@pytest.mark.parametrize("n", [2, 10, 300])
def test_bars_are_the_groups(k: int, n: int) -> None:
    rng = np.random.default_rng(k * n)
    found = rank_methods(rng.random((n, k)) + 0.1 * np.arange(k))
    figure = plot_critical_difference(
        [f"NNG-Mix w/o NN and GN {i}" for i in range(k)],
        found.average_ranks,
        found.critical_difference,
        title=f"Classical datasets, all detectors, {n} datasets " * k,
    )
    drawn = bars(figure)
    expected = [found.average_ranks[list(group)] for group in found.groups]
    assert len(drawn) == len(expected)
    for (low, high, _), ranks in zip(drawn, expected, strict=True):
        slack = 0.011 * max(k, found.critical_difference)
        assert ranks.min() - slack < low <= ranks.min()
        assert ranks.max() <= high < ranks.max() + slack
    for i, (low, high, level) in enumerate(drawn):
        for other_low, other_high, other_level in drawn[:i]:
            assert level != other_level or other_high < low or high < other_low
        # Above all names.
        assert 0 < level < min(row for _, row, _ in leaders(figure))
    # Names begin where both the axis and the distance have ended.
    assert all(
        end < 1 or end > max(k, 1 + found.critical_difference) for *_, end in leaders(figure)
    )
    explained = any("a bar joins" in text.get_text() for text in figure.axes[0].texts)
    assert explained == bool(drawn)
    assert_legible(figure)


def test_all_alike() -> None:
    figure = plot_critical_difference(["a", "b", "c"], [2, 2, 2], 0.5)
    ((low, high, _),) = bars(figure)
    assert low < 2 < high
    assert_legible(figure)


def test_all_told_apart() -> None:
    assert bars(plot_critical_difference(["a", "b", "c"], [1, 2, 3], 0.5)) == []


@pytest.mark.parametrize(
    ("given", "ranks", "distance", "message"),
    [
        (["a"], [1], 1, "two or more; got 1 name"),
        (["a", "b"], [1, 2, 3], 1, "of one length"),
        (["a", "b"], [1, np.nan], 1, "average_ranks must be finite"),
        (["a", "b"], [1, 2], 0, "critical_difference above zero"),
        (["a", "b"], [1, 2], np.nan, "critical_difference above zero"),
    ],
)
def test_refuses(given: list[str], ranks: list[float], distance: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_critical_difference(given, ranks, distance)
