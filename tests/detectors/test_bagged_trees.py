"""BaggedTrees: what the trees see, how they vote, and that training scores are out of bag."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from nngmix.detectors import BaggedTrees
from nngmix.sampling import SAMPLERS, Chain, Cutout, GaussianNoise, NNGMix


class Recorder(GaussianNoise):
    """Keeps what it was fitted on and what it made, for all copies of it together.

    Rows that it made are kept as it made them, and as the detector, which moves them in place,
    shows them to the trees.
    """

    fits = []
    made = []
    samples = []

    def fit(self, X, y):
        self.fits.append((X, y))
        return super().fit(X, y)

    def sample(self, n, **how):
        self.samples.append(super().sample(n, **how))
        self.made.append(self.samples[-1].copy())
        return self.samples[-1]


@pytest.fixture
def recorder():
    Recorder.fits, Recorder.made, Recorder.samples = [], [], []
    return Recorder(sigma=0.1)


@pytest.fixture
def wide():
    """400 unlabelled rows and 40 labelled anomalies that stand out in the first columns."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(440, 6))
    X[:40, :3] += 3
    return X, np.repeat([1, 0], [40, 400])


def votes(tree, X):
    return tree.predict_proba(X.astype(np.float32))[:, 1]


# The score


@pytest.mark.parametrize("n_rows", [1, 50, 180_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_score_is_the_mean_of_the_trees(wide, n_rows, dtype):
    detector = BaggedTrees(n_estimators=30, random_state=0).fit(*wide)
    X = np.random.default_rng(1).normal(1, 2, size=(n_rows, 6)).astype(dtype)
    expected = np.mean([votes(tree, X) for tree in detector.estimators_], axis=0)
    scores = detector.decision_function(X)
    np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=1e-15)
    assert np.array_equal(detector.predict_proba(X), np.column_stack([1 - scores, scores]))


@pytest.mark.parametrize("shape", [(440, 6), (2500, 600)], ids=["one block", "blocks"])
def test_training_scores_are_the_mean_of_the_trees_that_did_not_see_the_row(shape):
    X = np.random.default_rng(0).normal(size=shape)
    y = np.zeros(len(X), dtype=int)
    y[::60] = 1
    detector = BaggedTrees(n_estimators=30, random_state=0).fit(X, y)
    total, count = np.zeros(len(X)), np.zeros(len(X))
    for tree, seen in zip(detector.estimators_, detector.estimators_samples_, strict=True):
        unseen = np.setdiff1d(np.arange(len(X)), seen)
        total[unseen] += votes(tree, X[unseen])
        count[unseen] += 1
    assert detector.oob_.all()
    np.testing.assert_allclose(detector.decision_scores_, total / count, rtol=1e-12, atol=1e-15)
    assert np.array_equal(detector.labels_, detector.decision_scores_ > detector.threshold_)


def test_separates_what_stands_out(wide):
    X, y = wide
    detector = BaggedTrees(random_state=0).fit(X, y)
    assert roc_auc_score(y, detector.decision_scores_) > 0.97
    assert detector.feature_importances_.sum() == pytest.approx(1)
    assert detector.feature_importances_[:3].min() > detector.feature_importances_[3:].max()


def test_training_scores_of_labels_at_random_tell_nothing():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(1500, 5)), np.zeros(1500, dtype=int)
    y[rng.choice(1500, 150, replace=False)] = 1
    detector = BaggedTrees(random_state=0).fit(X, y)
    assert detector.oob_.all()
    assert 0.42 < roc_auc_score(y, detector.decision_scores_) < 0.58
    # The same rows in the bag:
    assert roc_auc_score(y, detector.decision_function(X)) > 0.95


def test_a_lone_labelled_anomaly_has_no_score_out_of_bag(wide):
    X, y = wide
    X, y = X[39:], y[39:]
    detector = BaggedTrees(n_estimators=30, random_state=0).fit(X, y)
    assert not detector.oob_[0]
    assert detector.oob_[1:].all()
    assert detector.decision_scores_[0] == detector.decision_function(X[:1])[0]


def test_rows_that_every_tree_sees_have_no_score_out_of_bag(wide):
    X, y = wide
    detector = BaggedTrees(n_estimators=30, min_unlabelled=400, random_state=0).fit(X, y)
    assert np.array_equal(detector.oob_, y == 1)
    within = detector.decision_function(X)
    assert np.array_equal(detector.decision_scores_[y == 0], within[y == 0])
    lone = BaggedTrees(n_estimators=1, random_state=0).fit(X, y)
    assert not lone.oob_[y == 1].any()
    assert lone.oob_.sum() == 340


def shrunk_votes(tree, rows, shrinkage):
    """Agarwal and others' formula, row by row down a tree that was not shrunk."""
    share, n_rows = tree.tree_.value[:, 0, 1], tree.tree_.weighted_n_node_samples
    votes = np.full(len(rows), share[0])
    paths = tree.decision_path(rows.astype(np.float32))
    for row in range(len(rows)):
        path = np.sort(paths[row].indices)
        for upper, lower in pairwise(path):
            votes[row] += (share[lower] - share[upper]) / (1 + shrinkage / n_rows[upper])
    return votes


@pytest.mark.parametrize("shrinkage", [0.5, 8.0, 1e6])
@pytest.mark.parametrize("splitter", ["random", "best"])
def test_shares_are_shrunk_along_the_path(wide, shrinkage, splitter):
    X, y = wide
    plain = BaggedTrees(n_estimators=10, splitter=splitter, shrinkage=0, random_state=0)
    weight = np.random.default_rng(1).random(440)
    trees = plain.fit(X, y, weight).estimators_
    expected = np.mean([shrunk_votes(tree, X, shrinkage) for tree in trees], axis=0)
    shrunk = clone(plain).set_params(shrinkage=shrinkage).fit(X, y, weight)
    np.testing.assert_allclose(shrunk.decision_function(X), expected, rtol=1e-9)
    # The trees hold the shrunk shares themselves.
    shares = [votes(tree, X) for tree in shrunk.estimators_]
    np.testing.assert_allclose(np.mean(shares, axis=0), expected, rtol=1e-9)


def test_an_empty_row_among_the_anomalies_does_not_claim_all_empty_rows():
    # Trees on flags cut off what has a flag, one after the other; where all rows but a labelled
    # anomaly without flags are gone, a leaf of its own is left, into which most rows fall.
    rng = np.random.default_rng(0)

    def flags(n, often):
        rows = rng.random((n, 100)) < 0.03
        rows[:, :10] |= rng.random((n, 10)) < often
        return rows.astype(float)

    X = np.concatenate([flags(1000, 0.0), flags(20, 0.5), np.zeros((3, 100))])
    y = np.repeat([0, 1], [1000, 23])
    test = np.concatenate([flags(1000, 0.0), flags(100, 0.5)])
    empty = np.repeat([0, 1], [1000, 100])
    plain = BaggedTrees(shrinkage=0, random_state=0).fit(X, y)
    shrunk = BaggedTrees(random_state=0).fit(X, y)
    scores = [roc_auc_score(empty, d.decision_function(test)) for d in (plain, shrunk)]
    assert scores[1] > scores[0] + 0.01


# What a tree sees


@pytest.mark.parametrize(
    ("n_anomalies", "n_estimators", "left_out"),
    [(40, 30, {4}), (40, 4, {10}), (2, 20, {0, 1}), (13, 20, {1, 2}), (1, 20, {0})],
)
def test_anomalies_are_dealt_to_groups_of_trees(wide, n_anomalies, n_estimators, left_out):
    X, y = (part[40 - n_anomalies :] for part in wide)
    detector = BaggedTrees(n_estimators=n_estimators, random_state=0).fit(X, y)
    unseen = [
        frozenset(range(n_anomalies)) - frozenset(seen.tolist())
        for seen in detector.estimators_samples_
    ]
    assert {len(group) for group in unseen} == left_out
    for tree in range(10, n_estimators):
        assert unseen[tree] == unseen[tree - 10]
    if n_anomalies > 1:
        first = [anomaly for group in unseen[:10] for anomaly in group]
        assert sorted(first) == list(range(n_anomalies))  # each is left out by one group
        assert first != sorted(first) or n_anomalies == 2


@pytest.mark.parametrize(("min_unlabelled", "n_drawn"), [(5, 36), (30, 36), (50, 50), (999, 400)])
def test_unlabelled_rows_are_few_distinct_and_drawn_afresh(wide, min_unlabelled, n_drawn):
    X, y = wide
    detector = BaggedTrees(n_estimators=20, min_unlabelled=min_unlabelled, random_state=0)
    detector.fit(X, y)
    bags = []
    for tree, seen in zip(detector.estimators_, detector.estimators_samples_, strict=True):
        assert (np.diff(seen) > 0).all()
        bags.append(frozenset(seen[seen >= 40].tolist()))
        assert len(bags[-1]) == n_drawn
        # As many pseudo-anomalies as labelled anomalies.
        assert tree.tree_.n_node_samples[0] == n_drawn + 36 + 36
    assert len(set(bags)) == (1 if n_drawn == 400 else 20)


def test_without_a_sampler_there_are_no_pseudo_anomalies(wide):
    detector = BaggedTrees(n_estimators=5, sampler=None, random_state=0).fit(*wide)
    for tree, seen in zip(detector.estimators_, detector.estimators_samples_, strict=True):
        assert tree.tree_.n_node_samples[0] == len(seen)


def test_pseudo_anomalies_come_from_the_anomalies_of_the_bag(wide, recorder):
    X, y = wide
    X[0] = 1000.0  # its jitter would be far from all others
    detector = BaggedTrees(n_estimators=20, sampler=recorder, n_jobs=1, random_state=0).fit(X, y)
    assert len(recorder.fits) == 10
    assert len(recorder.samples) == 20
    for (fitted, labels), seen in zip(recorder.fits, detector.estimators_samples_, strict=False):
        anomalies = np.setdiff1d(seen, np.flatnonzero(y == 0))
        assert np.array_equal(fitted[labels == 1], X[anomalies])
        assert np.array_equal(fitted[labels == 0], X[y == 0])
    for made, seen in zip(recorder.samples, detector.estimators_samples_, strict=True):
        assert made.shape == (36, 6)
        if 0 not in seen:
            assert made.max() < 100


def test_noise_is_gaussian_noise(wide):
    given = GaussianNoise(multiplier=1, sigma=0.1)
    by_name, by_hand = (
        BaggedTrees(n_estimators=20, sampler=sampler, random_state=0).fit(*wide).decision_scores_
        for sampler in ("noise", given)
    )
    assert np.array_equal(by_name, by_hand)
    assert not hasattr(given, "pool_")


@pytest.mark.parametrize(
    "sampler",
    [*(kind() for kind in SAMPLERS.values()), Chain([Cutout(), GaussianNoise()])],
    ids=lambda sampler: type(sampler).__name__,
)
def test_any_sampler_will_do(rows, sampler):
    X, y = rows
    detector = BaggedTrees(n_estimators=20, sampler=sampler, random_state=0).fit(X, y)
    assert roc_auc_score(y, detector.decision_scores_) > 0.8
    assert np.array_equal(
        detector.decision_scores_, clone(detector).set_params(n_jobs=1).fit(X, y).decision_scores_
    )


def test_pseudo_anomalies_keep_to_the_levels_of_a_column(wide, recorder):
    X, y = wide
    rng = np.random.default_rng(1)
    levels = [np.array([0.0, 1.0]), np.array([-3.0, 0.5, 0.6, 9.0]), np.arange(21.0)]
    for column, known in enumerate(levels):
        X[:, column] = rng.choice(known, len(X))
    X[::4, 1] = np.nan
    X[:, 3] = 7.0
    # A level of one anomaly alone: unknown to the trees that leave the anomaly out.
    X[5, 0] = 0.25
    detector = BaggedTrees(n_estimators=20, sampler=recorder, n_jobs=1, random_state=0)
    detector.fit(X, y)
    for made, seen in zip(recorder.samples, detector.estimators_samples_, strict=True):
        assert set(made[:, 0]) <= ({0.0, 0.25, 1.0} if 5 in seen else {0.0, 1.0})
        gap = np.isnan(made[:, 1])
        assert gap.any()
        assert set(made[~gap, 1]) <= set(levels[1])
        assert (made[:, 3] == 7.0).all()
        for column in (2, 4, 5):  # 21 values are no levels
            assert not np.isin(made[:, column], X[:, column]).any()


def test_a_flag_that_tells_nothing_is_not_told_by_the_noise():
    # Of pseudo-anomalies with a flag of 0.03 the trees would learn that flags of 0 are unlabelled.
    rng = np.random.default_rng(0)
    X = rng.integers(0, 2, size=(1030, 8)).astype(float)
    X[:30, 0] = 50.0  # so far off that noise brings none of them back among the others
    y = (np.arange(1030) < 30).astype(int)
    detector = BaggedTrees(random_state=0, max_features=None, splitter="best").fit(X, y)
    assert detector.feature_importances_[0] == pytest.approx(1)


@given(
    known=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20, unique=True),
    seed=st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_levels_are_the_nearest(known, seed):
    rng = np.random.default_rng(seed)
    known = np.unique(known)
    X = np.column_stack([rng.choice(known, 60), rng.random(60)])
    X[: len(known), 0] = known
    Recorder.fits, Recorder.made, Recorder.samples = [], [], []
    detector = BaggedTrees(n_estimators=1, sampler=Recorder(sigma=0.5), random_state=seed)
    detector.fit(X, np.repeat([0, 1], [50, 10]))
    made, moved = Recorder.made[0], Recorder.samples[0]
    nearest = np.abs(made[:, :1] - known).min(axis=1)
    np.testing.assert_allclose(np.abs(made[:, 0] - moved[:, 0]), nearest, rtol=1e-6, atol=1e-9)
    assert np.isin(moved[:, 0], known).all()
    assert np.array_equal(made[:, 1], moved[:, 1])


# Settings


@pytest.mark.parametrize(
    ("splitter", "kind"), [("random", ExtraTreeClassifier), ("best", DecisionTreeClassifier)]
)
def test_hands_settings_on(wide, splitter, kind):
    detector = BaggedTrees(
        n_estimators=7, splitter=splitter, max_features=0.5, min_samples_leaf=9, random_state=0
    ).fit(*wide)
    assert len(detector.estimators_) == 7
    for tree in detector.estimators_:
        assert type(tree) is kind
        assert tree.max_features_ == 3
        leaf = tree.tree_.children_left == -1
        assert tree.tree_.n_node_samples[leaf].min() >= 9
    assert len({tree.random_state for tree in detector.estimators_}) == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_estimators", 0),
        ("sampler", "nng-mix"),
        ("min_unlabelled", 0),
        ("max_features", "all"),
        ("max_features", 1.5),
        ("min_samples_leaf", 0),
        ("splitter", "worst"),
        ("n_jobs", 0),
    ],
)
def test_settings_that_cannot_be(rows, name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of BaggedTrees must be"):
        BaggedTrees(**{name: value}).fit(*rows)


@pytest.mark.parametrize("n_jobs", [2, 5, None, -1])
def test_threads_do_not_change_the_results(wide, n_jobs):
    X, y = wide
    more = np.random.default_rng(1).normal(size=(180_000, 6))
    weight = np.random.default_rng(2).random(440)
    one, other = (
        BaggedTrees(n_estimators=30, sampler=NNGMix(), n_jobs=n, random_state=0).fit(X, y, weight)
        for n in (1, n_jobs)
    )
    assert np.array_equal(other.decision_scores_, one.decision_scores_)
    assert np.array_equal(other.decision_function(more), one.decision_function(more))
    assert np.array_equal(other.feature_importances_, one.feature_importances_)


def test_seeds(wide):
    scores = [
        BaggedTrees(n_estimators=20, random_state=seed).fit(*wide).decision_scores_
        for seed in (0, 0, 1, None, None)
    ]
    assert np.array_equal(scores[0], scores[1])
    assert len({tuple(found) for found in scores}) == 4
    # A sampler's own seed is without effect.
    fixed = BaggedTrees(n_estimators=20, sampler=NNGMix(random_state=3), random_state=0)
    other = clone(fixed).set_params(sampler__random_state=4)
    assert np.array_equal(fixed.fit(*wide).decision_scores_, other.fit(*wide).decision_scores_)


def test_text_of_it_is_short(wide):
    assert repr(BaggedTrees().fit(*wide)) == "BaggedTrees()"


# Weights


def test_weight_zero_is_absence(wide):
    X, y = wide
    weight = np.ones(440)
    weight[[3, 17, 50, 100, 439]] = 0
    X[[3, 50]] = 1e6  # would widen the sampler's ranges
    some = BaggedTrees(n_estimators=30, random_state=0).fit(X, y, weight)
    kept = weight > 0
    without = BaggedTrees(n_estimators=30, random_state=0).fit(X[kept], y[kept])
    more = np.random.default_rng(1).normal(size=(500, 6))
    assert np.array_equal(some.decision_function(more), without.decision_function(more))
    assert np.array_equal(some.decision_scores_[kept], without.decision_scores_)
    assert some.oob_.all()
    assert np.isin(np.concatenate(some.estimators_samples_), np.flatnonzero(kept)).all()


def test_unlabelled_weights_are_chances(wide):
    X, y = wide
    weight = np.ones(440)
    weight[40:140], weight[140:240] = 9.0, 1e-300
    detector = BaggedTrees(n_estimators=300, min_unlabelled=30, random_state=0)
    detector.fit(X, y, weight)
    seen = np.bincount(np.concatenate(detector.estimators_samples_), minlength=440)
    often, never, seldom = seen[40:140].mean(), seen[140:240].mean(), seen[240:].mean()
    # 36 of 400 rows a tree: chances 9 to 1 before the first is drawn, less apart afterwards.
    assert never == 0
    assert 6 < often / seldom < 9.5
    assert len(detector.estimators_samples_[0]) == 72
    # More are asked for than have a chance worth the name.
    many = BaggedTrees(n_estimators=4, min_unlabelled=350, random_state=0).fit(X, y, weight)
    assert {len(seen) for seen in many.estimators_samples_} == {350 + 30}


@pytest.mark.parametrize("factor", [1e-6, 7.0])
def test_the_unit_of_weights_does_not_count(wide, factor):
    X, y = wide
    weight = np.random.default_rng(1).random(440)
    detector = BaggedTrees(n_estimators=20, min_samples_leaf=5, random_state=0)
    one = clone(detector).fit(X, y, weight).decision_scores_
    other = clone(detector).fit(X, y, factor * weight).decision_scores_
    np.testing.assert_allclose(one, other, rtol=1e-9)


def test_weights_of_classes_and_anomalies_reach_the_trees(wide):
    X, y = wide
    weight = np.where(y, 3.0, 0.5)
    weight[:20] = 9.0
    detector = BaggedTrees(n_estimators=10, min_unlabelled=30, random_state=0)
    detector.fit(X, y, weight)
    for tree, seen in zip(detector.estimators_, detector.estimators_samples_, strict=True):
        heavy, light = np.sum(seen < 20), np.sum((seen >= 20) & (seen < 40))
        # By the mean unlabelled row; pseudo-anomalies weigh as much as the mean anomaly.
        assert tree.tree_.weighted_n_node_samples[0] == pytest.approx(
            36 + heavy * 18 + light * 6 + 36 * 12
        )


# Values


def test_gaps_can_be_the_sign(wide):
    X, y = wide
    X = np.random.default_rng(1).normal(size=X.shape)
    X[y == 1, 2] = np.nan
    detector = BaggedTrees(random_state=0).fit(X, y)
    assert roc_auc_score(y, detector.decision_scores_) > 0.95
    X[:, 4] = np.nan  # a column of nothing else
    detector = BaggedTrees(random_state=0).fit(X, y)
    assert roc_auc_score(y, detector.decision_scores_) > 0.95


def test_gaps_when_scoring_only_are_taken(wide):
    X, y = wide
    detector = BaggedTrees(random_state=0).fit(X, y)
    X[:, [1, 5]] = np.nan
    assert roc_auc_score(y, detector.decision_function(X)) > 0.9


@pytest.mark.parametrize("gaps", [False, True])
def test_numbers_beyond_single_precision_are_refused(wide, gaps):
    X, y = wide
    if gaps:
        X[3, 0] = np.nan
    detector = BaggedTrees(n_estimators=5, random_state=0).fit(X, y)
    spoiled = X.copy()
    spoiled[7, 2] = -1e39
    with pytest.raises(ValueError, match=r"beyond 3.4e\+38 in column 2: BaggedTrees computes"):
        detector.decision_function(spoiled)
    with pytest.raises(ValueError, match=r"beyond 3.4e\+38 in column 2: BaggedTrees computes"):
        detector.fit(spoiled, y)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_numbers_of_single_precision_are_taken(wide, dtype):
    X, y = wide
    X = X.astype(dtype)
    largest = np.finfo(np.float32).max
    X[::2, 0], X[1::2, 0] = largest, -largest
    X[:, 3] = np.linspace(-1, 1, 440) * largest
    detector = BaggedTrees(random_state=0).fit(X, y)
    assert roc_auc_score(y, detector.decision_scores_) > 0.95


def test_the_smallest_table():
    detector = BaggedTrees(n_estimators=5, shrinkage=0, random_state=0)
    detector.fit([[0.0], [1.0]], [0, 1])
    assert not detector.oob_.any()
    assert detector.decision_function([[0.0], [1.0]]).tolist() == [0.0, 1.0]
    same = BaggedTrees(n_estimators=5, random_state=0).fit([[1.0], [1.0], [1.0]], [0, 1, 1])
    assert same.feature_importances_.tolist() == [0.0]
