import io
import subprocess
import sys

import numpy as np
import pytest
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_info

from nngmix.plotting import embed, plot_pseudo_anomalies

pytest.importorskip("matplotlib")


def rows(n: int, n_features: int = 2, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(shift, 1, (n, n_features))


def draw(n_features: int = 2, n: int = 40, **settings: object):
    return plot_pseudo_anomalies(
        rows(n, n_features), rows(3, n_features, 1, 4), rows(30, n_features, 2, 4), **settings
    )


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points(panel) -> list[int]:
    return [len(drawn.get_offsets()) for drawn in panel.collections]


class TestFigure:
    def test_before_and_after(self) -> None:
        figure = draw(name="NNG-Mix", title="wine")
        before, after = figure.axes
        assert (before.get_title(), after.get_title()) == ("before", "after NNG-Mix")
        assert figure.get_suptitle() == "wine"
        assert points(before) == [40, 3]
        assert points(after) == [40, 30, 3]
        assert legend(figure) == [
            "unlabelled (40)",
            "pseudo-anomalies (30)",
            "labelled anomalies (3)",
        ]
        # One map: what is in both panels is in the same place.
        places = [[d.get_offsets() for d in panel.collections] for panel in figure.axes]
        np.testing.assert_array_equal(places[0][0], places[1][0])
        np.testing.assert_array_equal(places[0][1], places[1][2])
        assert before.get_xlim() == after.get_xlim()

    def test_hidden_anomalies_are_ringed(self) -> None:
        hidden = np.arange(40) % 8 == 0
        figure = draw(hidden=hidden)
        before, after = figure.axes
        assert points(before) == [40, 5, 3]
        assert points(after) == [40, 5, 30, 3]
        np.testing.assert_array_equal(
            before.collections[1].get_offsets(), before.collections[0].get_offsets()[hidden]
        )
        assert legend(figure)[1] == "of these, hidden anomalies (5)"
        assert legend(draw(hidden=np.zeros(40, dtype=bool))) == legend(draw())

    @pytest.mark.parametrize("n_features", [1, 2, 3, 30])
    def test_any_number_of_features(self, n_features: int) -> None:
        figure = draw(n_features)
        assert points(figure.axes[1]) == [40, 30, 3]
        assert np.isfinite(figure.axes[0].collections[0].get_offsets()).all()

    def test_few_rows(self) -> None:
        for n_features in (1, 2, 4):
            figure = plot_pseudo_anomalies(*(rows(1, n_features, seed) for seed in range(3)))
            assert points(figure.axes[1]) == [1, 1, 1]

    def test_many_rows_are_thinned_and_counted_in_full(self) -> None:
        hidden = np.arange(4000) % 4 == 0
        figure = plot_pseudo_anomalies(
            rows(4000), rows(3, seed=1), rows(1600, seed=2), hidden=hidden
        )
        shown = points(figure.axes[1])
        assert (shown[0], shown[2:]) == (1500, [1500, 3])
        assert 300 < shown[1] < 450  # of a quarter
        assert legend(figure)[:3] == [
            "unlabelled (4,000)",
            "of these, hidden anomalies (1,000)",
            "pseudo-anomalies (1,600)",
        ]

    def test_same_seed_same_picture(self) -> None:
        for n_features, n in ((5, 40), (2, 1600)):
            contents = []
            for seed in (0, 0, 1):
                content = io.BytesIO()
                draw(n_features, n, random_state=seed).savefig(content, format="png")
                contents.append(content.getvalue())
            assert contents[0] == contents[1]
        # Which rows are shown, where there are too many.
        assert contents[0] != contents[2]

    def test_inputs_stay_as_they_are(self) -> None:
        given = [rows(9, 4), rows(2, 4, 1), rows(5, 4, 2)]
        copies = [part.copy() for part in given]
        plot_pseudo_anomalies(*given)
        for part, copy in zip(given, copies, strict=True):
            np.testing.assert_array_equal(part, copy)

    def test_without_matplotlib(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(ImportError, match=r"pip install 'nngmix\[plot\]'"):
            draw()

    def test_no_global_state(self) -> None:
        # pyplot would want a display, and keep every figure alive.
        script = (
            "import sys, numpy as np; from nngmix.plotting import plot_pseudo_anomalies; "
            "assert 'matplotlib' not in sys.modules; "
            "x = np.random.default_rng(0).normal(size=(9, 2)); "
            "plot_pseudo_anomalies(x, x[:1], x[:3]).savefig(sys.stdout.buffer, format='png'); "
            "sys.exit('matplotlib.pyplot' in sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(b"\x89PNG")


class TestEmbed:
    def test_two_features_are_shown_as_they_are(self) -> None:
        x = rows(20)
        np.testing.assert_allclose(
            embed(x), (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0)), atol=1e-12
        )

    def test_one_feature_is_a_line(self) -> None:
        plane = embed(rows(20, 1))
        assert plane.shape == (20, 2)
        assert (plane[:, 1] == 0).all()

    @pytest.mark.parametrize("n_features", [1, 2, 5])
    @pytest.mark.parametrize("n", [2, 4, 30])
    def test_constant_columns_are_left_out(self, n_features: int, n: int) -> None:
        assert (embed(np.full((n, n_features), 7.0)) == 0).all()
        x = rows(n, n_features)
        wider = np.insert(x, [0, n_features], 3.0, axis=1)
        np.testing.assert_array_equal(embed(wider), embed(x))

    @pytest.mark.parametrize("n_features", [1, 2, 5])
    def test_gaps_take_the_median(self, n_features: int) -> None:
        x = rows(31, n_features)
        with_gap = x.copy()
        with_gap[3, 0] = np.nan
        x[3, 0] = np.median(np.delete(x[:, 0], 3))
        np.testing.assert_allclose(embed(with_gap), embed(x), rtol=1e-3, atol=1e-9)
        # A column that is nothing but gaps is constant.
        empty = np.insert(x, 0, np.nan, axis=1)
        np.testing.assert_array_equal(embed(empty), embed(x))

    @pytest.mark.parametrize("n", [2, 3, 4, 5, 6])
    def test_few_rows(self, n: int) -> None:
        plane = embed(rows(n, 6))
        assert plane.shape == (n, 2)
        assert np.isfinite(plane).all()

    def test_units_do_not_matter(self) -> None:
        x = rows(60, 4)
        np.testing.assert_allclose(embed(x * [1, 8, 64, 2**20]), embed(x), rtol=1e-3)

    def test_near_rows_stay_near(self) -> None:
        x = np.vstack([rows(40, 6), rows(40, 6, 1, shift=12)])
        plane = embed(x)
        centres = plane[:40].mean(axis=0), plane[40:].mean(axis=0)
        own = np.linalg.norm(plane[:40] - centres[0], axis=1)
        other = np.linalg.norm(plane[:40] - centres[1], axis=1)
        assert (own < other).all()

    def test_does_not_depend_on_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # On large tables two threads make another map than one, and wait for each other.
        seen = []

        def fit_transform(self: TSNE, X: np.ndarray) -> np.ndarray:
            seen.extend(pool["num_threads"] for pool in threadpool_info())
            return X[:, :2]

        monkeypatch.setattr(TSNE, "fit_transform", fit_transform)
        embed(rows(20, 8))
        assert set(seen) == {1}

    @pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
    def test_any_numbers(self, dtype: str) -> None:
        x = (rows(20, 4) * 3).astype(dtype)
        assert np.isfinite(embed(x)).all()
