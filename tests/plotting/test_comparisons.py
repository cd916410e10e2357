"""Pictures that compare: samplers side by side, and decision boundaries."""

import numpy as np
import pytest

from nngmix.plotting import embed, new_figure, plot_decision_boundary, plot_side_by_side

RNG = np.random.default_rng(0)
UNLABELLED, LABELLED = RNG.normal(size=(60, 4)), RNG.normal(3, 1, (4, 4))


@pytest.mark.parametrize(
    ("n", "columns", "shape"), [(1, 4, (1, 1)), (4, 4, (1, 4)), (5, 2, (3, 2))]
)
def test_a_panel_for_each_sampler(n, columns, shape, tmp_path):
    generated = {f"sampler {i}": RNG.normal(3, 1, (10 + i, 4)) for i in range(n)}
    figure = plot_side_by_side(UNLABELLED, LABELLED, generated, columns=columns, title="all")
    assert [panel.get_title() for panel in figure.axes] == list(generated)
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == shape
    for i, panel in enumerate(figure.axes):
        drawn = [len(dots.get_offsets()) for dots in panel.collections]
        assert drawn == [60, 10 + i, 4]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "unlabelled",
        "pseudo-anomalies",
        "labelled anomalies",
    ]
    figure.savefig(tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 5000


def test_all_panels_show_the_same_rows_in_the_same_places():
    generated = {name: RNG.normal(3, 1, (20, 4)) for name in "ab"}
    one, two = plot_side_by_side(UNLABELLED, LABELLED, generated).axes
    for i in (0, 2):
        places = [panel.collections[i].get_offsets() for panel in (one, two)]
        assert np.array_equal(*places)


def test_copies_are_drawn_on_top_of_each_other():
    plane = embed(np.concatenate([UNLABELLED, np.repeat(LABELLED, 5, axis=0)]))
    assert len(np.unique(plane[60:], axis=0)) == 4


def test_boundary_is_where_the_score_crosses_the_threshold():
    panel = new_figure(3, 3).subplots()
    plot_decision_boundary(
        panel,
        lambda rows: rows[:, 0],
        UNLABELLED[:, :2],
        LABELLED[:, :2],
        LABELLED[:2, :2],
        threshold=0.5,
        title="half",
    )
    assert panel.get_title() == "half"
    lines = [path.vertices for c in panel.collections for path in c.get_paths() if len(path) > 50]
    assert any(np.allclose(vertices[:, 0], 0.5) for vertices in lines)
    drawn = [len(c.get_offsets()) for c in panel.collections if len(c.get_offsets()) > 1]
    assert drawn == [60, 2, 4]
