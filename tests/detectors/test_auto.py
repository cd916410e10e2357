"""AutoDetector: what its views say, how labels weigh them, and what it says about itself."""

import time
import warnings

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from nngmix import load, save
from nngmix.detectors import AutoDetector, LabelsWarning, auto
from nngmix.detectors.evidence import NormalScores
from nngmix.detectors.views import Coordinates, Distance, Lesson, make_views


def table(n=500, n_columns=5, share=0.1, shift=2.5, seed=0):
    """Rows of which some are anomalous: far out in the first two columns."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, n_columns))
    anomalous = np.arange(n) < share * n
    X[anomalous, :2] += shift
    order = rng.permutation(n)
    return X[order], anomalous[order]


def label(anomalous, n_labels, seed=0):
    """Label some of the anomalies."""
    y = np.zeros(len(anomalous), dtype=int)
    rng = np.random.default_rng(seed)
    y[rng.choice(np.flatnonzero(anomalous), n_labels, replace=False)] = 1
    return y


def quick(**settings):
    return AutoDetector(**{"n_estimators": 30, "n_jobs": 1, "random_state": 0, **settings})


@pytest.fixture(scope="module")
def fitted():
    X, anomalous = table()
    return quick().fit(X, label(anomalous, 15))


def lesson_of(X, y, **more):
    coordinates = Coordinates().fit(X[y == 0])
    return Lesson(
        unlabelled=coordinates.transform(X[y == 0]),
        anomalies=coordinates.transform(X[y == 1]),
        weights=(np.ones((y == 0).sum()), np.ones(y.sum())),
        **{"seed": 0, "n_jobs": 1, "n_trees": 30, "learned": {}, "scores": {}, **more},
    )


# The score


def test_the_score_is_the_weighted_mean_of_normal_scores(fitted):
    X, _ = table(seed=1)
    assert set(fitted.views_) == set(make_views())
    coordinates = fitted.coordinates_.transform(X)
    total = np.zeros(len(X))
    for name, view in fitted.views_.items():
        total += fitted.weights_[name] * fitted.scales_[name].transform(view.score(coordinates))
    np.testing.assert_allclose(fitted.decision_function(X), total, atol=1e-12)
    assert sum(fitted.weights_.values()) == pytest.approx(1)


def test_it_finds_them(fitted):
    X, anomalous = table(seed=1)
    assert roc_auc_score(anomalous, fitted.decision_function(X)) > 0.93


def test_a_normal_score_of_the_rows_it_learned_from(fitted):
    scores = fitted.decision_scores_
    assert abs(np.median(scores)) < 0.3
    assert (fitted.scales_["trees"].transform(np.array([-9.0, 9.0])) >= [-4, 3]).all()


def test_labels_decide_between_views():
    # Anomalies in dense places, where no distance from other rows shows them.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 4))
    inner = np.argsort((X**2).sum(axis=1))[:60]
    anomalous = np.zeros(600, dtype=bool)
    anomalous[inner] = True
    few, many = (quick().fit(X, label(anomalous, n)) for n in (1, 50))
    for name in ("distance", "white distance", "isolation"):
        assert few.weights_[name] > 0
        assert many.weights_[name] == 0
        assert name not in many.views_
    assert many.evidence_["trees"] > many.evidence_["distance"]


@pytest.mark.parametrize("space", ["standard", "white"])
def test_local_distance_is_the_simplified_local_outlier_factor(space):
    X, anomalous = table()
    new, _ = table(40, seed=1)
    detector = quick().fit(X, label(anomalous, 15))
    prefix = "white " if space == "white" else ""
    coordinates = detector.coordinates_.transform(new)
    view = detector.views_[f"{prefix}local distance"]
    found = view.score(coordinates)
    rows, points = view.rows_, getattr(coordinates, space)
    floor = 1e-3 * np.sqrt(X.shape[1])

    def fifth(point, others):
        distances = np.sqrt(((others - point) ** 2).sum(axis=1))
        order = np.argsort(distances)
        return np.log(distances[order[4]] + floor), order[:5]

    usual = [fifth(row, np.delete(rows, i, axis=0))[0] for i, row in enumerate(rows)]
    for place, point in enumerate(points):
        own, near = fifth(point, rows)
        assert found[place] == pytest.approx(own - np.mean([usual[i] for i in near]))


def test_a_training_row_is_as_local_as_if_it_had_not_been():
    X, anomalous = table(150)
    y = label(anomalous, 10)
    lesson = lesson_of(X, y)
    view = make_views()["local distance"]
    ours, theirs = view.learn(lesson)
    rows = lesson.unlabelled.standard
    for place in range(0, len(rows), 10):
        rest = np.delete(np.arange(len(rows)), place)
        without = make_views()["local distance"]
        alone = lesson_of(X, y)
        alone.unlabelled = lesson.unlabelled.rows(rest)
        without.learn(alone)
        assert ours[place] == pytest.approx(without.score(lesson.unlabelled.rows([place]))[0])
    np.testing.assert_allclose(theirs, view.score(lesson.anomalies.rows(slice(None))))


def test_equally_distant_rows_do_not_make_scores_hang_on_threads_or_batches():
    rng = np.random.default_rng(0)
    X, new = rng.integers(0, 3, (600, 6)), rng.integers(0, 5, (50, 6))
    y = np.arange(600) < 20
    found = []
    for threads in (1, 2, 4):  # those of the library that finds neighbours
        with threadpool_limits(threads, user_api="openmp"):
            detector = quick().fit(X, y)
            found.append([detector.decision_scores_, detector.decision_function(new)])
            one_by_one = [detector.decision_function(row[None])[0] for row in new]
            np.testing.assert_allclose(one_by_one, found[-1][1], atol=1e-12)
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
def test_second_trees_do_not_doubt_rows_for_being_like_a_left_out_anomaly():
    # Labels at random on rows without any structure: left out, they are rows like all others.
    means = []
    for seed in range(10):
        X = np.random.default_rng(seed).standard_normal((300, 2))
        lesson = lesson_of(X, np.arange(300) < 90, n_trees=60, seed=seed)
        views = make_views()
        for name in (*views["second trees"].needs, "second trees"):
            lesson.scores[name] = views[name].learn(lesson)
            lesson.learned[name] = views[name]
        ours, theirs = lesson.scores["second trees"]
        means.append(NormalScores().fit(ours).transform(theirs).mean())
    # 0.02 here, and 0.15 where all trees doubt, those that have seen the anomaly too.
    assert abs(np.mean(means)) < 0.09


def test_anomalies_that_are_far_only_for_their_neighbourhood():
    # Each beside a dense group, but nearer to it than rows of the sparse group are to each other.
    def rows(seed):
        rng = np.random.default_rng(seed)
        centres = np.random.default_rng(0).normal(0, 5, (30, 3))
        dense = centres[np.arange(600) % 30] + rng.normal(0, 0.02, (600, 3))
        beside = rng.standard_normal((30, 3))
        beside *= 0.4 / np.linalg.norm(beside, axis=1, keepdims=True)
        X = np.concatenate([dense, rng.normal(0, 5, (300, 3)), centres + beside])
        return X, np.repeat([0, 1], [900, 30])

    X, anomalous = rows(1)
    detector = quick().fit(X, label(anomalous, 10))
    new, truth = rows(2)
    coordinates = detector.coordinates_.transform(new)
    # Anew, for a view that the labels speak against is not kept.
    lesson, views, reached = lesson_of(X, label(anomalous, 10)), make_views(), {}
    for name in ("local distance", "distance", "white distance", "isolation"):
        views[name].learn(lesson)
        reached[name] = roc_auc_score(truth, views[name].score(coordinates))
    assert reached["local distance"] > 0.9
    assert detector.evidence_["local distance"] > detector.evidence_["distance"]
    assert max(reached[name] for name in reached if name != "local distance") < 0.75
    assert roc_auc_score(truth, detector.decision_function(new)) > 0.95


@pytest.mark.parametrize("view", ["white nearness", "weighted nearness", "white kernel"])
def test_a_few_values_far_out_leave_the_others_room(view):
    # Not the far ones are the anomalies, but some in the middle of the crowd.
    def rows(seed):
        X, anomalous = np.random.default_rng(seed).standard_normal((630, 4)), np.arange(630) >= 600
        X[anomalous] *= 0.3
        X[anomalous, :2] += 1.2
        return X, anomalous.astype(int)

    def reached(change):
        found = []
        for seed in range(3):
            X, anomalous = rows(seed)
            y = label(anomalous, 12)
            lesson, views = lesson_of(change(X), y), make_views()
            coordinates = Coordinates().fit(change(X)[y == 0])
            for name in (*views[view].needs, view):
                lesson.scores[name] = views[name].learn(lesson)
                lesson.learned[name] = views[name]
            X, anomalous = rows(seed + 100)
            scores = views[view].score(coordinates.transform(change(X)))
            found.append(roc_auc_score(anomalous, scores))
        return np.mean(found)

    plain = reached(lambda X: X)
    assert plain > 0.97
    assert reached(lambda X: np.exp(3 * X)) > plain - 0.02  # standard deviations alone: -0.05
    assert reached(lambda X: np.sinh(2 * X)) > plain - 0.02


def test_a_straight_boundary_comes_in_with_the_labels():
    # Anomalies are only a little off in each of ten columns, and many of them are hidden.
    def rows(seed):
        rng = np.random.default_rng(seed)
        anomalous = np.arange(800) < 200
        return rng.standard_normal((800, 10)) + 0.5 * anomalous[:, None], anomalous

    X, anomalous = rows(0)
    weights = [quick().fit(X, label(anomalous, n)).weights_["linear"] for n in (1, 5, 50)]
    assert weights[0] == 0
    assert 0 < weights[1] < weights[2] / 2
    detector = quick().fit(X, label(anomalous, 50))
    assert "a straight boundary" in detector.summary_
    X, anomalous = rows(1)
    coordinates = detector.coordinates_.transform(X)
    reached = {
        n: roc_auc_score(anomalous, v.score(coordinates)) for n, v in detector.views_.items()
    }
    assert max(reached, key=reached.get) == "linear"
    assert reached["linear"] > reached["trees"] + 0.01


def test_the_linear_view_says_of_training_rows_what_it_says_of_new_ones():
    # Labels at random, in so many columns that a regression learns them by heart.
    known, honest, new = [], [], []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, y = rng.standard_normal((400, 120)), np.arange(400) < 30
        lesson, view = lesson_of(X, y), make_views()["linear"]
        ours, theirs = view.learn(lesson)
        tables = Coordinates().fit(X[~y]).transform
        known.append(roc_auc_score(y, view.score(tables(X))))
        honest.append(roc_auc_score(np.sort(y), np.concatenate([ours, theirs])))
        unseen = view.score(tables(rng.standard_normal((400, 120))))
        new.append(roc_auc_score(np.repeat([0, 1], [len(ours), 400]), np.append(ours, unseen)))
    assert min(known) > 0.9
    assert abs(np.mean(honest) - 0.5) < 0.05
    assert abs(np.mean(new) - 0.5) < 0.05


def test_coordinates_keep_the_order_of_a_columns_values():
    rng = np.random.default_rng(0)
    X = np.column_stack([np.exp(3 * rng.standard_normal(2500)), rng.integers(3, size=2500)])
    new = np.sort(np.concatenate([X, X * 1.01]), axis=0)
    standard = Coordinates().fit(X).transform(new).standard
    assert (np.diff(standard, axis=0) >= 0).all()
    # Half of it is the rank: even where values lie close, they are told apart.
    assert np.ptp(np.quantile(standard[:, 0], [0.1, 0.5])) > 0.5
    assert abs(Coordinates().fit(X).transform(X).standard.mean()) < 0.01


def test_where_no_view_finds_the_anomalies_all_stand_as_expected(monkeypatch):
    X, anomalous = table()
    monkeypatch.setattr(auto, "weigh", lambda trust, found, weights: (0.0, -1.0))
    detector = quick().fit(X, label(anomalous, 5))
    # What must have labels has as much as five of them give it.
    expected = {name: trust.weight * (5 / (5 + trust.labels)) for name, trust in auto.TRUST.items()}
    total = sum(expected.values())
    assert detector.weights_ == pytest.approx({k: v / total for k, v in expected.items()})


# Honesty


def test_labels_permuted_at_random_show():
    X, _ = table(shift=4.0)
    estimates = []
    for seed in range(5):
        y = label(np.ones(len(X), dtype=bool), 25, seed)
        with pytest.warns(LabelsWarning, match="do not show that the scores are better than ch"):
            detector = quick(n_estimators=60).fit(X, y)
        low, high = detector.quality_.aucroc_interval
        assert low < 0.55 < high
        estimates.append(detector.quality_.aucroc)
        # While it knows the very same labels by heart.
        assert roc_auc_score(y, detector.decision_function(X)) > 0.9
    assert abs(np.mean(estimates) - 0.5) < 0.1


@pytest.mark.parametrize("seed", range(3))
def test_estimates_are_near_the_truth(seed):
    X, anomalous = table(1000, share=0.08, shift=2.0, seed=seed)
    detector = quick().fit(X, label(anomalous, 30, seed))
    new, truth = table(2000, share=0.08, shift=2.0, seed=100 + seed)
    reached = roc_auc_score(truth, detector.decision_function(new))
    low, high = detector.quality_.aucroc_interval
    assert low - 0.02 <= reached <= high + 0.02
    assert high - low < 0.35
    assert 0.01 < detector.quality_.share < 0.3
    probability = detector.predict_proba(new)[:, 1]
    always = truth.mean()
    assert np.mean((probability - truth) ** 2) < always * (1 - always)


def test_a_single_label_works_and_says_what_it_cannot_tell():
    X, anomalous = table(shift=4.0)
    y = label(anomalous, 1)
    with pytest.warns(LabelsWarning, match="a single labelled anomaly cannot show"):
        detector = quick().fit(X, y)
    assert roc_auc_score(anomalous[y == 0], detector.decision_function(X[y == 0])) > 0.9
    assert detector.quality_.n_labels == 0
    assert np.isnan(detector.quality_.aucroc)
    assert not detector.oob_[y == 1].any()
    assert detector.oob_[y == 0].all()
    assert np.array_equal(detector.decision_scores_[y == 1], detector.decision_function(X[y == 1]))


def test_a_column_that_copies_the_label_is_a_likely_leak():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, anomalous = table()
    y = label(anomalous, 10)
    frame = pandas.DataFrame(np.column_stack([X, y]), columns=[*"abcde", "refunded"])
    with pytest.warns(LabelsWarning, match="likely leak: .* in refunded"):
        detector = quick().fit(frame, y)
    assert detector.leaks_.tolist() == [5]
    assert "refunded" in detector.summary_.splitlines()[-1]


@pytest.mark.parametrize("n_labels", [10, 40])
def test_no_leak_is_seen_where_hidden_anomalies_are_like_the_labelled_ones(n_labels):
    X, anomalous = table(shift=30.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LabelsWarning)
        assert len(quick().fit(X, label(anomalous, n_labels)).leaks_) == 0


def test_columns_of_noise_harm_little():
    X, anomalous = table(seed=0)
    new, truth = table(seed=1)
    y = label(anomalous, 20)
    noise = np.random.default_rng(2).standard_normal((2, 500, 15))
    plain = quick(n_estimators=60).fit(X, y).decision_function(new)
    noisy = quick(n_estimators=60).fit(np.hstack([X, noise[0]]), y)
    reached = roc_auc_score(truth, noisy.decision_function(np.hstack([new, noise[1]])))
    assert reached > roc_auc_score(truth, plain) - 0.1
    assert noisy.feature_importances_[:2].min() > noisy.feature_importances_[2:].max()


# What it tells


def test_summary_says_what_counted_and_how_good_it_is(fitted):
    lines = fitted.summary_.splitlines()
    assert lines[0] == "Learned from 485 unlabelled rows and 15 labelled anomalies, 5 columns."
    shares = [line.split() for line in lines if "% " in line and line.startswith("  ")]
    assert [float(line[0][:-1]) for line in shares] == sorted(
        (round(100 * w) for w in fitted.weights_.values()), reverse=True
    )
    assert "The trees use most: column " in fitted.summary_
    assert f"Estimated AUCROC: {fitted.quality_.aucroc:.2f}, likely" in fitted.summary_
    assert "Warning" not in fitted.summary_
    assert "The trees use most: e (" in fitted.summarise("edcba").replace("d (", "e (")
    with pytest.raises(ValueError, match="names must be one for each of 5 columns; got 2"):
        fitted.summarise(["a", "b"])


def test_explanations_name_the_columns_that_drove_a_score(fitted):
    X, anomalous = table(seed=1)
    far = X[anomalous][:4]
    parts = fitted.explain(far)
    assert parts.shape == (4, 5)
    assert (np.sort(parts[:, :2].sum(axis=1)) > parts[:, 2:].sum(axis=1)).all()
    # Against one typical row it is a difference of two scores.
    typical = fitted.typical_[0]
    changed = far[:1].copy()
    changed[0, 1] = typical[1]
    expected = fitted.decision_function(far[:1]) - fitted.decision_function(changed)
    np.testing.assert_allclose(fitted.explain(far[:1], n_typical=1)[0, 1], expected[0], atol=1e-9)
    with pytest.raises(ValueError, match="n_typical must be from 1 to 20; got 21"):
        fitted.explain(far, n_typical=21)


def test_the_threshold_follows_from_the_estimated_share(fitted):
    X, anomalous = table()
    y = label(anomalous, 15)
    fixed = quick(contamination=0.3).fit(X, y)
    assert fixed.quality_.share == 0.3
    for detector, share in ((fitted, fitted.quality_.share), (fixed, 0.3)):
        above = (detector.decision_scores_[y == 0] > detector.threshold_).mean()
        assert above == pytest.approx(share, abs=0.01)


# Time, rows, weights


def test_a_time_limit_leaves_out_what_would_take_longer():
    X, anomalous = table(3000, 10)
    y = label(anomalous, 20)
    short = AutoDetector(time_limit=0.05, random_state=0).fit(X, y)
    assert short.n_trees_ < 400
    assert short.left_out_
    assert "trees" in short.views_
    assert set(short.views_).isdisjoint(short.left_out_)
    assert f"Left out for the time limit: {short.left_out_[0]}" in short.summary_
    assert roc_auc_score(anomalous, short.decision_function(X)) > 0.8
    ample = quick(time_limit=600.0).fit(X[:300], y[:300])
    unlimited = quick().fit(X[:300], y[:300])
    assert np.array_equal(ample.decision_scores_, unlimited.decision_scores_)


def test_a_view_is_not_cheap_for_what_a_view_left_out_has_measured(monkeypatch):
    monkeypatch.setattr(AutoDetector, "most_unlabelled", 300)
    measure = Distance._measure

    def slow(self, rows, weights, own):
        if not own:
            time.sleep(0.8)
        return measure(self, rows, weights, own)

    monkeypatch.setattr(Distance, "_measure", slow)
    X, anomalous = table(3000)
    with pytest.warns(LabelsWarning):
        detector = quick(time_limit=6).fit(X, label(anomalous, 1))
    # 2,700 rows more would take nine times as long.
    distances = {name for name, view in make_views().items() if isinstance(view, Distance)}
    assert distances <= set(detector.left_out_)


def test_rows_beyond_those_it_learns_from_are_scored_as_new_ones(monkeypatch, capsys):
    monkeypatch.setattr(AutoDetector, "most_unlabelled", 200)
    monkeypatch.setattr(auto, "_BLOCK_ROWS", 100)
    X, anomalous = table()
    y = label(anomalous, 10)
    detector = quick(verbose=True).fit(X, y)
    # The bar counts the views, and two blocks of such rows.
    assert f"{len(make_views()) + 2}/{len(make_views()) + 2}" in capsys.readouterr().err
    plain = detector.decision_function(X)
    same = np.isclose(plain, detector.decision_scores_, rtol=0, atol=1e-12)
    assert 290 <= same.sum() <= 300
    assert not same[y == 1].all()
    assert "200 unlabelled rows" in detector.summary_


def test_rows_equal_to_labelled_anomalies_do_not_hang_on_batches():
    rng = np.random.default_rng(0)
    X = np.eye(8)[rng.integers(0, 8, (600, 3))].reshape(600, 24)
    detector = quick().fit(X, np.arange(600) < 30)
    whole = detector.decision_function(X[:60])
    alone = [detector.decision_function(row[None])[0] for row in X[:60]]
    np.testing.assert_allclose(alone, whole, rtol=0, atol=1e-12)


def test_many_rows_are_searched_by_cells(tmp_path):
    # So many that distances are to nearly all of the nearest rows.
    X, anomalous = table(10_500, 7, share=0.02)
    y = label(anomalous, 40)
    detector = quick(n_estimators=10).fit(X, y)
    few = X[:300]
    scores = detector.decision_function(few)
    assert roc_auc_score(anomalous, detector.decision_scores_) > 0.9
    more = quick(n_estimators=10, n_jobs=2).fit(X, y)
    assert np.array_equal(detector.decision_scores_, more.decision_scores_)
    alone = np.concatenate([detector.decision_function(few[:1]), more.decision_function(few[1:])])
    assert np.array_equal(scores, alone)
    # Cells are no part of a model on disk: made anew, they are the same.
    save(detector, tmp_path / "model")
    assert np.array_equal(scores, load(tmp_path / "model").decision_function(few))
    near = next(view for name, view in detector.views_.items() if name == "distance")
    exact = NearestNeighbors(n_neighbors=10).fit(near.rows_)
    points = detector.coordinates_.transform(few)
    there = exact.kneighbors(points.standard)[0][:, -1]
    found = np.exp(near.score(points))
    assert abs(found / (there + 1e-3 * np.sqrt(7)) - 1).mean() < 0.002


def test_a_row_of_weight_zero_is_as_if_absent():
    X, anomalous = table()
    y = label(anomalous, 10)
    weight = np.where(np.arange(500) % 3 == 0, 0.0, 2.0)
    weight[np.flatnonzero(y)[0]] = 0
    some = quick().fit(X, y, weight)
    without = quick().fit(X[weight > 0], y[weight > 0])
    assert np.array_equal(some.decision_function(X), without.decision_function(X))


@pytest.mark.parametrize("n_jobs", [2, -1])
def test_threads_do_not_matter(n_jobs):
    X, anomalous = table()
    X[::7, 3] = np.nan
    y = label(anomalous, 12)
    one, more = (quick(n_jobs=n).fit(X, y) for n in (1, n_jobs))
    assert np.array_equal(one.decision_scores_, more.decision_scores_)
    assert np.array_equal(one.decision_function(X), more.decision_function(X))


def test_columns_without_values_or_without_spread():
    X, anomalous = table()
    X = np.column_stack([X, np.full(500, np.nan), np.full(500, 3.0)])
    detector = quick().fit(X, label(anomalous, 8))
    assert np.isfinite(detector.decision_function(X)).all()
    X[:, -1] = 1e30  # never seen
    assert np.isfinite(detector.decision_function(X)).all()


@pytest.mark.parametrize("n_unlabelled", [1, 2, 15])
@pytest.mark.parametrize("n_anomalies", [1, 2])
def test_a_handful_of_rows(n_unlabelled, n_anomalies):
    rng = np.random.default_rng(0)
    X = rng.random((n_unlabelled + n_anomalies, 3))
    y = np.repeat([0, 1], [n_unlabelled, n_anomalies])
    detector = quick().fit(X, y)
    assert np.isfinite(detector.decision_scores_).all()
    assert np.isfinite(detector.decision_function(X)).all()
    assert ((detector.predict_proba(X) >= 0) & (detector.predict_proba(X) <= 1)).all()


def test_what_is_kept_is_what_was_told(fitted, tmp_path):
    save(fitted, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.summary_ == fitted.summary_
    assert again.quality_ == fitted.quality_
    X, _ = table(seed=1)
    assert np.array_equal(again.explain(X[:2]), fitted.explain(X[:2]))
