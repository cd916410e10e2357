from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from picture_checks import assert_legible

from nngmix.plotting import plot_agreement

NAN = float("nan")


def named(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_points_differences_and_names() -> None:
    rng = np.random.default_rng(0)
    published = np.linspace(0.5, 0.9, 60)
    ours = published + rng.uniform(-0.004, 0.004, 60)
    off = {10: -0.08, 59: -0.05, 0: 0.04, 30: 0.03, 31: -0.02, 40: 0.01}
    for i, by in off.items():
        ours[i] = published[i] + by
    labels = [f"Table VI, FTTransformer, NNG-Mix w/o NN and GN {i}×" for i in range(60)]
    # A pair without one of its values moves none of the others.
    published, ours = np.insert(published, 5, NAN), np.insert(ours, 5, 0.6)
    labels.insert(5, "not published")
    figure = plot_agreement(published, ours, labels, title="published and measured " * 5)
    (panel,) = figure.axes
    kept = np.isfinite(published)
    np.testing.assert_array_equal(panel.collections[0].get_offsets(), np.c_[published, ours][kept])
    expected = [i + (i >= 5) for i in list(off)[:5]]
    assert named(figure) == [f"{labels[i]}: {published[i]:.3f} → {ours[i]:.3f}" for i in expected]
    numbers = {text.get_text(): text.get_position() for text in panel.texts}
    assert numbers == {str(n): (published[i], ours[i]) for n, i in enumerate(expected, 1)}
    difference = (ours - published)[kept]
    assert panel.get_title() == (
        f"60 values, mean absolute difference {np.abs(difference).mean():.4f}, "
        f"mean difference −{-difference.mean():.4f}"
    )
    (diagonal,) = panel.lines
    np.testing.assert_array_equal(*diagonal.get_data())
    assert panel.get_xlim() == panel.get_ylim()
    assert panel.get_aspect() == 1
    assert_legible(figure)


def test_what_agrees_is_not_named() -> None:
    figure = plot_agreement([0.7, 0.8, 0.9], [0.7, 0.801, 0.91], ["a", "b", "c"])
    assert named(figure) == ["c: 0.900 → 0.910"]
    assert_legible(figure)


def test_without_labels() -> None:
    figure = plot_agreement([0.7, 0.8], [0.9, 0.8])
    assert named(figure) == []
    assert len(figure.axes[0].texts) == 0


def test_one_value() -> None:
    figure = plot_agreement([0.7], [0.7], ["a"])
    assert figure.axes[0].get_title().startswith("1 value, mean absolute difference 0.0000")
    assert_legible(figure)


@pytest.mark.parametrize(
    ("published", "ours", "labels", "message"),
    [
        ([0.1], [0.1, 0.2], None, "of one length; got 1, 2"),
        ([0.1, 0.2], [0.1, 0.2], ["a"], "of one length"),
        ([0.1, NAN], [NAN, 0.2], None, "at least one pair without NaN"),
        ([], [], None, "at least one pair"),
    ],
)
def test_refuses(published: Any, ours: Any, labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_agreement(published, ours, labels)
