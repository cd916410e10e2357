import numpy as np
import pytest
from picture_checks import assert_legible

from nngmix.plotting import plot_seeds

NAN = float("nan")


def test_points_and_means() -> None:
    values = np.random.default_rng(0).normal(0.7, 0.1, (4, 5))
    values[1, 2] = NAN
    values[2] = NAN
    names = ["Baseline", "Duplicate", "RoSAS", "NNG-Mix w/o NN and GN"]
    figure = plot_seeds(names, values, title="DeepSAD on Classical datasets " * 4)
    (panel,) = figure.axes
    assert [text.get_text() for text in panel.get_yticklabels()] == names
    low, high = panel.get_ylim()
    assert low > high  # the first is above the others
    drawn = [np.asarray(points.get_offsets()) for points in panel.collections]
    assert [len(points) for points in drawn] == [5, 1, 4, 1, 5, 1]
    for i, (points, mean) in zip([0, 1, 3], zip(drawn[::2], drawn[1::2], strict=True), strict=True):
        found = values[i][np.isfinite(values[i])]
        np.testing.assert_allclose(points, [(value, i) for value in found])
        np.testing.assert_allclose(mean, [(found.mean(), i)])
    faint, bold = panel.collections[:2]
    assert faint.get_alpha() < 1
    assert bold.get_alpha() is None
    texts = [text.get_text() for text in panel.texts]
    assert texts[0] == f"{values[0].mean():.3f} ± {values[0].std(ddof=1):.3f}"
    assert texts[2] == "–"
    # Beside the panel, where no point can be.
    assert all(text.get_position()[0] > 1 for text in panel.texts)
    assert "5 seeds" in panel.get_xlabel()
    assert_legible(figure)


def test_one_seed_and_one_method() -> None:
    figure = plot_seeds(["NNG-Mix"], [[0.7]], quantity="AUCROC")
    assert figure.axes[0].get_xlabel() == "AUCROC: one seed"
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.700"]
    assert_legible(figure)


@pytest.mark.parametrize(
    ("names", "values"), [([], np.ones((0, 2))), (["a"], [0.1, 0.2]), (["a", "b"], [[0.1]])]
)
def test_refuses(names: list[str], values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="values must have a row for each name"):
        plot_seeds(names, values)
