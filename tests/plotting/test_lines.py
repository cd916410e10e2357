from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from picture_checks import assert_legible

from nngmix.plotting import Panel, Series, plot_lines
from nngmix.plotting.style import DARK_GREY

NAN = float("nan")
DETECTORS = ["DeepSAD", "XGBOD", "MLP", "FTTransformer", "CatB"]
MULTIPLIERS = ["1×", "5×", "10×", "20×", "50×", "100×"]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def rings(axis: Axes) -> list[np.ndarray]:
    """The published values, by line."""
    return [
        np.asarray(drawn.get_offsets())
        for drawn in axis.collections
        if len(drawn.get_facecolor()) == 0 and len(drawn.get_offsets()) > 1
    ]


def looks(axis: Axes) -> list[tuple[Any, ...]]:
    return [
        (to_hex(line.get_color()), line.get_marker(), line.get_linestyle()) for line in axis.lines
    ]


def figure_3() -> list[Panel]:
    rng = np.random.default_rng(0)

    def lines(rise: float) -> list[Series]:
        return [
            Series(
                name,
                0.6 + 0.06 * i + rise * np.arange(6),
                published=np.r_[0.6 + 0.06 * i + rng.normal(0, 0.01, 3), NAN, NAN, NAN],
            )
            for i, name in enumerate(DETECTORS)
        ]

    return [
        Panel("(a) more pseudo-anomalies", MULTIPLIERS, lines(0.01), "pseudo-anomalies"),
        Panel("(b) more labels", ["1 %", "5 %", "10 %", "20 %", "50 %", "100 %"], lines(0.03)),
    ]


class TestLines:
    def test_figure_3(self) -> None:
        panels = figure_3()
        figure = plot_lines(panels, quantity="AUCROC", title="Fig. 3")
        assert [axis.get_title() for axis in figure.axes] == [panel.title for panel in panels]
        for axis, panel in zip(figure.axes, panels, strict=True):
            assert [text.get_text() for text in axis.get_xticklabels()] == panel.x
            for line, ring, series in zip(axis.lines, rings(axis), panel.series, strict=True):
                np.testing.assert_array_equal(line.get_xdata(), range(6))
                np.testing.assert_array_equal(line.get_ydata(), series.values)
                np.testing.assert_array_equal(
                    np.ma.filled(ring[:, 1], NAN)[:3], series.published[:3]
                )
        assert figure.axes[0].get_ylabel() == "AUCROC"
        assert figure.axes[0].get_xlabel() == "pseudo-anomalies"
        assert legend(figure) == [*DETECTORS, "published"]
        # A detector looks alike in both panels, and like no other.
        assert looks(figure.axes[0]) == looks(figure.axes[1])
        for part in (0, 1):
            assert len({look[part] for look in looks(figure.axes[0])}) == 5
        assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
        assert_legible(figure)

    def test_panel_for_each_detector(self) -> None:
        ratios = ["0", "0.2", "0.4", "0.6", "0.8", "1"]
        panels = [
            Panel(
                name,
                ratios,
                [
                    Series("Baseline", 0.6 + 0.05 * i - 0.004 * i * np.arange(6)),
                    Series("NNG-Mix", 0.62 + 0.05 * i - 0.002 * i * np.arange(6)),
                    Series("Duplicate", np.full(6, 0.6 + 0.05 * i), control=True),
                ],
                "pollution ratio",
            )
            for i, name in enumerate(DETECTORS)
        ]
        title = "Fewer hidden anomalies among the unlabelled rows; Classical, 1 % labelled, 10×"
        figure = plot_lines(panels, same_scale=False, title=title)
        assert figure.get_suptitle().replace("\n", " ") == title
        assert [axis.get_title() for axis in figure.axes] == DETECTORS
        assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (3, 2)
        for axis in figure.axes:
            *others, control = looks(axis)
            assert control[0] == DARK_GREY
            assert control[2] == "--"
            assert all(look[0] != DARK_GREY and look[2] == "-" for look in others)
            # It is not hidden by what it is compared with.
            assert axis.lines[2].get_zorder() > axis.lines[1].get_zorder()
            low, high = axis.get_ylim()
            for line in axis.lines:
                assert low < line.get_ydata().min() <= line.get_ydata().max() < high
        spans = [np.diff(axis.get_ylim())[0] for axis in figure.axes]
        np.testing.assert_allclose(spans, spans[0])
        assert len({axis.get_ylim() for axis in figure.axes}) == 5
        assert legend(figure) == ["Baseline", "NNG-Mix", "Duplicate"]
        assert_legible(figure)

    def test_spread(self) -> None:
        values, spread = np.array([0.7, 0.8, 0.75]), np.array([0.02, NAN, 0.01])
        panel = Panel(
            "σ", ["0.01", "0.1", "0.3"], [Series("a", values, spread), Series("b", values, spread)]
        )
        figure = plot_lines([panel], spread="range")
        (axis,) = figure.axes
        places = []
        for line, drawn in zip(axis.lines, axis.collections, strict=True):
            segments = [s for s in drawn.get_segments() if len(s) and np.isfinite(s).all()]
            ends = np.array([segment[:, 1] for segment in segments])
            np.testing.assert_allclose(ends, [[0.68, 0.72], [0.74, 0.76]])
            # The bar is where its value is.
            x = [segment[0, 0] for segment in segments]
            np.testing.assert_allclose(x, line.get_xdata()[[0, 2]])
            places.append(line.get_xdata())
        # Side by side, near their place on the axis.
        assert (places[1] - places[0] > 0.05).all()
        np.testing.assert_allclose(np.mean(places, axis=0), range(3))
        assert legend(figure) == ["a", "b", "± range"]
        assert_legible(figure)

    def test_gaps(self) -> None:
        panel = Panel("", MULTIPLIERS, [Series("a", [0.7, 0.8, NAN, 0.7, 0.6, NAN])])
        (axis,) = plot_lines([panel]).axes
        drawn = np.asarray(axis.lines[0].get_ydata())
        assert np.isnan(drawn[[2, 5]]).all()

    def test_one_value(self) -> None:
        series = Series("NNG-Mix", [0.7], spread=[NAN], published=[0.71])
        figure = plot_lines([Panel("one", ["10×"], [series])])
        (axis,) = figure.axes
        low, high = axis.get_xlim()
        assert low < 0 < high
        assert legend(figure) == ["NNG-Mix", "published"]
        assert_legible(figure)

    @pytest.mark.parametrize("same_scale", [True, False])
    def test_nothing_measured(self, same_scale: bool) -> None:
        nothing = Series("NNG-Mix", [NAN, NAN])
        only_published = Series("NNG-Mix", [NAN, NAN], published=[0.7, NAN])
        panels = [
            Panel("measured", ["a", "b"], [Series("NNG-Mix", [0.7, 0.71])]),
            Panel("nothing", ["a", "b"], [nothing]),
            Panel("published", ["a", "b"], [only_published]),
        ]
        figure = plot_lines(panels, same_scale=same_scale)
        said = [[text.get_text() for text in axis.texts] for axis in figure.axes]
        assert said == [[], ["no results"], []]
        # The scale of the others is not spoilt.
        assert figure.axes[0].get_ylim()[1] < 0.75
        assert figure.axes[2].get_ylim()[1] < 0.75
        assert_legible(figure)
        assert_legible(plot_lines(panels[1:2], same_scale=same_scale))

    def test_many_lines_and_long_names(self) -> None:
        x = ["Baseline", "Duplicate", "NNG-Mix w/o NN and GN", "NNG-Mix w/o NN"]
        series = [Series(f"NNG-Mix w/o NN and GN {i}", np.full(4, i / 12)) for i in range(12)]
        figure = plot_lines([Panel("many", x, series)])
        assert len(set(looks(figure.axes[0]))) == 12
        assert_legible(figure)

    def test_several_controls(self) -> None:
        series = [
            Series("NNG-Mix", [0.7, 0.8]),
            Series("Duplicate", [0.7, 0.7], control=True),
            Series("Baseline", [0.6, 0.6], control=True),
        ]
        figure = plot_lines([Panel("", ["1", "2"], series)] * 2)
        assert legend(figure) == ["NNG-Mix", "Duplicate", "Baseline"]
        assert all(look[0] == DARK_GREY for look in looks(figure.axes[1])[1:])


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ([], "at least one panel"),
        ([Panel("p", [], [])], "x of panel 'p' must have at least one place"),
        ([Panel("p", ["1"], [Series("s", [0.1, 0.2])])], "values of 's' in panel 'p' .* got 2"),
        ([Panel("p", ["1"], [Series("s", [0.1], spread=[])])], "spread of 's' .* got 0"),
        ([Panel("p", ["1"], [Series("s", [0.1], published=[1, 2])])], "published of 's'"),
    ],
)
def test_refuses(panels: list[Panel], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot_lines(panels)
