"""Figs. 1, 6 and 8: what is drawn is what the samplers generate."""

import numpy as np
import pytest

from nngmix import Duplicate, Mixup, NNGMix
from nngmix.datasets import load_adbench, make_split
from nngmix.experiments.pictures import (
    VERTEBRAL,
    draw_boundaries,
    draw_generated,
    draw_vertebral,
    make_clusters,
)

pytest.importorskip("matplotlib", reason="matplotlib is not installed")


def groups_of(panel):
    """Rows drawn in each colour of a panel."""
    return {
        label: artist.get_offsets()
        for artist, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }


def points_of(panel):
    """Rows drawn, group by group."""
    return [
        np.asarray(artist.get_offsets())
        for artist in panel.collections
        if type(artist).__name__ == "PathCollection"
    ]


def test_three_clusters_around_one():
    X, y = make_clusters()
    assert X.shape == (321, 2)
    assert y.tolist() == [0] * 300 + [1] * 21
    centres = X[y == 1].reshape(3, 7, 2).mean(axis=1)
    for i, centre in enumerate(centres):
        # Each cluster keeps together, away from the unlabelled rows' middle and the others.
        assert np.linalg.norm(X[y == 1].reshape(3, 7, 2)[i] - centre, axis=1).max() < 1
        assert np.linalg.norm(centre) > 1.5
        others = np.delete(centres, i, axis=0)
        assert np.linalg.norm(others - centre, axis=1).min() > 3
    again = make_clusters()
    assert np.array_equal(X, again[0])


class TestGenerated:
    def test_panels(self):
        figure = draw_generated()
        assert [panel.get_title()[:3] for panel in figure.axes] == ["(a)", "(b)", "(c)", "(d)"]
        for panel, n in zip(figure.axes, (0, 200, 200, 200), strict=True):
            numbers = {label: len(rows) for label, rows in groups_of(panel).items()}
            assert numbers == {
                "unlabelled": 300,
                "pseudo-anomalies": n,
                "labelled anomalies": 21,
            }

    def test_what_the_paper_shows(self):
        """Mixup of all rows lands among the unlabelled ones; NNG-Mix keeps away from them."""
        everywhere, between, nng_mix = (
            share_in_the_middle(panel) for panel in draw_generated().axes[1:]
        )
        assert everywhere > 0.3
        assert between < everywhere
        assert nng_mix < 0.1


def share_in_the_middle(panel):
    """How much of what is generated is nearer to the unlabelled rows' mean than most of them."""
    groups = groups_of(panel)
    middle = groups["unlabelled"].mean(axis=0)

    def distances(rows):
        return np.linalg.norm(rows - middle, axis=1)

    near = np.quantile(distances(groups["unlabelled"]), 0.8)
    return np.mean(distances(groups["pseudo-anomalies"]) < near)


class TestBoundaries:
    def test_the_papers_panels(self):
        figure, shares = draw_boundaries()
        assert list(shares) == [
            "no pseudo-anomalies",
            "Mixup, all rows",
            "Mixup, labelled anomalies",
            "NNG-Mix",
        ]
        assert shares["no pseudo-anomalies"] < 0.02
        for panel, (name, share) in zip(figure.axes, shares.items(), strict=True):
            assert (
                panel.get_title() == f"{name}\n{share:.1%} of the unlabelled rows called anomalies"
            )
            assert 0 <= share < 0.2
        drawn = [[len(rows) for rows in points_of(panel)] for panel in figure.axes]
        assert drawn == [[300, 21], *[[300, 210, 21]] * 3]

    def test_the_shade_reaches_the_edges(self):
        """Panels share their axes, and rows of one may lie outside of another's."""
        figure, _ = draw_boundaries({"none": None, "NNG-Mix": NNGMix(sigma=0.3, random_state=0)})
        figure.canvas.draw()
        for panel in figure.axes:
            extent = panel.dataLim
            assert extent.x0 <= panel.get_xlim()[0]
            assert extent.x1 >= panel.get_xlim()[1]
            assert extent.y0 <= panel.get_ylim()[0]
            assert extent.y1 >= panel.get_ylim()[1]
        assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()

    def test_samplers_of_ones_own(self):
        samplers = {
            "copies": Duplicate(multiplier=3),
            "one": Mixup(multiplier=2, random_state=0),
            "none": None,
        }
        figure, shares = draw_boundaries(samplers)
        assert list(shares) == list(samplers)
        assert len(figure.axes) == 3  # the fourth place is empty
        assert [len(points_of(panel)[1]) for panel in figure.axes[:2]] == [63, 42]

    def test_one_sampler(self):
        figure, shares = draw_boundaries({"none": None})
        assert len(figure.axes) == 1
        assert set(shares) == {"none"}


class TestVertebral:
    def test_three_samplers_on_one_map(self, adbench_home):
        figure = draw_vertebral(adbench_home)
        data = load_adbench(VERTEBRAL, data_home=adbench_home)
        y = make_split(data.data, data.target, label_ratio=0.1, seed=0).y_train
        n = int(y.sum())
        assert figure.get_suptitle() == (
            f"vertebral: {n} labelled anomalies, {10 * n} pseudo-anomalies each"
        )
        assert [panel.get_title() for panel in figure.axes] == [
            *("Mixup, all rows", "Mixup, labelled anomalies", "NNG-Mix"),
        ]
        groups = [groups_of(panel) for panel in figure.axes]
        for group in groups:
            assert len(group["unlabelled"]) == len(y) - n
            assert len(group["pseudo-anomalies"]) == 10 * n
            for name in ("unlabelled", "labelled anomalies"):
                assert np.array_equal(group[name], groups[0][name])
        assert not np.array_equal(groups[0]["pseudo-anomalies"], groups[2]["pseudo-anomalies"])

    def test_without_its_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="39_vertebral"):
            draw_vertebral(tmp_path)
