"""Statistics over datasets, beside published values, scipy, and the definitions in plain loops."""

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from nngmix.experiments.statistics import holm, paired, rank_methods

# Demšar (2006), Table 6: the ranks of four versions of C4.5 on fourteen datasets.
C45 = np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)
# Few different values, so that equal ones and zeros come up.
SCORES = st.integers(0, 6).map(lambda i: i / 10)


TABLES = st.tuples(st.integers(2, 9), st.integers(2, 6)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=SCORES)
)


def naive_signed_rank(differences: list[int]) -> float:
    """Every choice of signs, counted one by one; zeros are ranked, then dropped."""
    sizes = [abs(d) for d in differences]
    ranks = [
        sum(other < size for other in sizes) + (sizes.count(size) + 1) / 2
        for size, d in zip(sizes, differences, strict=True)
        if d != 0
    ]
    signs = [d > 0 for d in differences if d != 0]

    def off(chosen: Any) -> float:
        up = sum(rank for rank, sign in zip(ranks, chosen, strict=True) if sign)
        return abs(up - sum(ranks) / 2)

    choices = list(product([False, True], repeat=len(ranks)))
    return sum(off(choice) >= off(signs) for choice in choices) / len(choices)


class TestPaired:
    def test_counts_and_means(self) -> None:
        a = [0.81, 0.7, 0.5004, 0.5, 0.9]
        b = [0.8, 0.9, 0.5, 0.5, 0.8995]
        found = paired(a, b)
        # 0.0004 and 0 are ties; 0.0005 is no longer one, whatever its last binary digit.
        assert (found.wins, found.ties, found.losses) == (2, 2, 1)
        assert found.mean_difference == pytest.approx(-0.1891 / 5)
        assert found.median_difference == pytest.approx(0.0004)
        assert (paired(a, b, tie=0).ties, paired(a, b, tie=0.3).ties) == (1, 5)

    def test_other_way_round(self) -> None:
        a, b = np.random.default_rng(0).random((2, 20))
        one, two = paired(a, b), paired(b, a)
        assert (one.wins, one.losses, one.p_value) == (two.losses, two.wins, two.p_value)
        assert one.mean_difference == -two.mean_difference

    @given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
    def test_as_in_plain_loops(self, differences: list[int]) -> None:
        found = paired(np.array(differences) / 10, np.zeros(len(differences)))
        assert found.p_value == pytest.approx(naive_signed_rank(differences), rel=1e-12)

    @pytest.mark.parametrize("n", [1, 2, 5, 30, 47, 120, 200])
    @pytest.mark.parametrize("shift", [0.0, 0.3])
    def test_as_scipys_exact_test(self, n: int, shift: float) -> None:
        d = np.random.default_rng(n).normal(shift, 1, n)
        expected = stats.wilcoxon(d, method="exact").pvalue
        assert paired(d, np.zeros(n)).p_value == pytest.approx(expected, rel=1e-9)

    def test_many_datasets(self) -> None:
        # What is counted out and what is approximated must meet.
        d = np.round(np.random.default_rng(0).normal(0.1, 1, 201), 1)
        assert (d == 0).any()
        approximate, exact = (paired(d[:n], np.zeros(n)).p_value for n in (201, 200))
        by_normal = stats.wilcoxon(d[:200], zero_method="pratt").pvalue
        assert exact == pytest.approx(by_normal, rel=0.02)
        assert approximate == stats.wilcoxon(d, zero_method="pratt").pvalue

    def test_no_difference_at_all(self) -> None:
        for n in (1, 3, 300):
            found = paired(np.full(n, 0.7), np.full(n, 0.7))
            assert (found.ties, found.p_value) == (n, 1.0)

    def test_rounding_makes_no_rank(self) -> None:
        # Each pair differs by 0.1 on paper; in binary they differ by four different amounts.
        a, b = np.array([0.3, 0.4, 0.8, 0.2, 0.6]), np.array([0.2, 0.3, 0.7, 0.3, 0.7])
        assert len(np.unique(np.abs(a - b))) > 1
        assert paired(a, b).p_value == paired(a * 8, b * 8).p_value == 1.0
        assert paired([0.1 + 0.2], [0.3], tie=0).ties == 1

    @pytest.mark.parametrize(
        ("a", "b", "message"),
        [
            ([0.5, 0.6], [0.5], "got 2 and 1"),
            ([], [], "at least one dataset"),
            ([0.5, np.nan], [0.5, 0.6], r"^a must be finite numbers; 1 of 2 are not"),
            ([0.5], [np.inf], "^b must be finite"),
            ([[0.5]], [0.5], "^a must have 1 dimension"),
        ],
    )
    def test_refuses(self, a: Any, b: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            paired(a, b)

    @pytest.mark.parametrize("tie", [-0.1, np.nan])
    def test_refuses_tie(self, tie: float) -> None:
        with pytest.raises(ValueError, match="tie must be zero or more"):
            paired([0.5], [0.4], tie=tie)


class TestHolm:
    def test_published_example(self) -> None:
        # Demšar (2006), section 3.2.2: the others against plain C4.5, by their average ranks.
        ranks = C45.mean(axis=0)
        z = (ranks[0] - ranks[[3, 1, 2]]) / np.sqrt(4 * 5 / (6 * 14))
        raw = 2 * stats.norm.sf(z)
        np.testing.assert_allclose(raw, [0.016, 0.019, 0.607], atol=2e-3)
        # 0.016 is below 0.05 / 3, 0.019 below 0.05 / 2, and 0.607 not below 0.05.
        assert (holm(raw) < 0.05).tolist() == [True, True, False]
        np.testing.assert_allclose(holm([0.607, 0.016, 0.019]), [0.607, 0.048, 0.048])

    @given(st.lists(st.integers(0, 40).map(lambda i: i / 400), max_size=8))
    def test_rejects_what_the_steps_reject(self, raw: list[float]) -> None:
        adjusted = holm(raw)
        for alpha in (0.0101, 0.0501, 0.2003):
            rejected: set[int] = set()
            left = list(range(len(raw)))
            while left:
                smallest = min(left, key=lambda i: raw[i])
                if raw[smallest] * len(left) > alpha:
                    break
                rejected.add(smallest)
                left.remove(smallest)
            assert set(np.flatnonzero(adjusted <= alpha)) == rejected

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
    def test_keeps_order_and_range(self, raw: list[float], random: Any) -> None:
        adjusted = holm(raw)
        assert (adjusted >= raw).all()
        assert (adjusted <= 1).all()
        assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0).all()
        places = list(range(len(raw)))
        random.shuffle(places)
        np.testing.assert_array_equal(holm(np.array(raw)[places]), adjusted[places])

    def test_few(self) -> None:
        assert holm([]).tolist() == []
        assert holm([0.03]).tolist() == [0.03]

    @pytest.mark.parametrize("raw", [[0.1, 1.5], [-0.1], [np.nan], 0.1])
    def test_refuses(self, raw: Any) -> None:
        with pytest.raises(ValueError, match=r"^p_values must"):
            holm(raw)


class TestRankMethods:
    def test_published_example(self) -> None:
        found = rank_methods(-C45)
        np.testing.assert_allclose(found.average_ranks, [3.143, 2.000, 2.893, 1.964], atol=5e-4)
        assert found.chi_square == pytest.approx(9.28, abs=5e-3)
        assert found.f_statistic == pytest.approx(3.69, abs=5e-3)
        # 3.69 is beyond the critical value of F(3, 39), which is 2.85.
        assert found.f_p_value == pytest.approx(stats.f.sf(3.69, 3, 39), rel=0.01)
        assert found.f_p_value < 0.05
        assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
        # Even the best and the worst are nearer than that.
        assert found.groups == ((3, 1, 2, 0),)

    @pytest.mark.parametrize(
        ("k", "quantile"),
        # Demšar (2006), Table 5(a).
        list(enumerate([1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164], start=2)),
    )
    def test_published_critical_values(self, k: int, quantile: float) -> None:
        found = rank_methods(np.random.default_rng(0).random((20, k)))
        expected = quantile * np.sqrt(k * (k + 1) / 120)
        assert found.critical_difference == pytest.approx(expected, rel=5e-4)

    @given(TABLES)
    def test_as_in_plain_loops(self, values: np.ndarray) -> None:
        n, k = values.shape
        sums = [0.0] * k
        for row in values:
            for i in range(k):
                better = sum(row[j] > row[i] for j in range(k))
                equal = sum(row[j] == row[i] for j in range(k))
                sums[i] += better + (equal + 1) / 2
        average = [total / n for total in sums]
        chi_square = 12 * n / (k * (k + 1)) * (sum(r * r for r in average) - k * (k + 1) ** 2 / 4)
        found = rank_methods(values)
        np.testing.assert_allclose(found.average_ranks, average)
        assert found.chi_square == pytest.approx(chi_square, abs=1e-9)
        left = n * (k - 1) - chi_square
        if left > 1e-6:
            assert found.f_statistic == pytest.approx((n - 1) * chi_square / left, abs=1e-9)
        assert 0 <= found.f_p_value <= 1

    @given(TABLES)
    def test_groups_are_the_maximal_cliques(self, values: np.ndarray) -> None:
        found = rank_methods(values)
        ranks, k = found.average_ranks, values.shape[1]
        alike = [
            set(some)
            for size in range(2, k + 1)
            for some in combinations(range(k), size)
            if all(
                abs(ranks[i] - ranks[j]) < found.critical_difference
                for i, j in combinations(some, 2)
            )
        ]
        expected = [some for some in alike if not any(some < other for other in alike)]
        assert sorted(map(sorted, expected)) == sorted(map(sorted, found.groups))
        for group in found.groups:
            assert (np.diff(ranks[list(group)]) >= 0).all()
        best = [ranks[group[0]] for group in found.groups]
        assert best == sorted(best)

    @given(TABLES, st.randoms())
    def test_order_of_methods_and_datasets(self, values: np.ndarray, random: Any) -> None:
        rows, columns = (list(range(n)) for n in values.shape)
        random.shuffle(rows)
        random.shuffle(columns)
        found, moved = rank_methods(values), rank_methods(values[rows][:, columns])
        np.testing.assert_allclose(moved.average_ranks, found.average_ranks[columns])
        assert moved.p_value == pytest.approx(found.p_value)
        assert moved.critical_difference == found.critical_difference

    @pytest.mark.parametrize("k", [3, 5, 13])
    def test_as_scipys_friedman(self, k: int) -> None:
        values = np.random.default_rng(k).random((47, k))
        expected = stats.friedmanchisquare(*values.T)
        found = rank_methods(values)
        assert found.chi_square == pytest.approx(expected.statistic)
        assert found.p_value == pytest.approx(expected.pvalue)

    def test_told_apart(self) -> None:
        # Three methods in the same order on twenty datasets, and a fourth as good as the third.
        values = np.tile([0.6, 0.9, 0.5, 0.5], (20, 1))
        found = rank_methods(values)
        assert found.average_ranks.tolist() == [2, 1, 3.5, 3.5]
        # CD = 1.05: 1 and 2 are nearer than that, 2 and 3.5 are not.
        assert found.groups == ((1, 0), (2, 3))
        assert found.p_value < 1e-6
        assert rank_methods(np.tile([0.6, 0.9], (50, 1))).groups == ()

    def test_two_datasets_two_methods(self) -> None:
        agreed = rank_methods([[0.9, 0.8], [0.7, 0.6]])
        assert agreed.average_ranks.tolist() == [1, 2]
        assert (agreed.chi_square, agreed.f_statistic) == (2, np.inf)
        assert agreed.p_value == pytest.approx(0.157, abs=5e-4)
        assert agreed.groups == ((0, 1),)
        alike = rank_methods([[0.9, 0.9], [0.7, 0.7]])
        assert (alike.p_value, alike.f_p_value, alike.groups) == (1, 1, ((0, 1),))

    def test_rounding_makes_no_rank(self) -> None:
        values = [[0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2]]
        assert values[0][0] != values[0][1]
        assert rank_methods([values[0]] * 2).average_ranks.tolist() == [1.5, 1.5]

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.ones((1, 3)), r"two datasets .* got 1 and 3"),
            (np.ones((3, 1)), r"two methods .* got 3 and 1"),
            (np.ones((0, 3)), "got 0 and 3"),
            (np.ones(3), "^values must have 2 dimension"),
            ([[0.5, np.nan], [0.5, 0.6]], "^values must be finite numbers; 1 of 4"),
        ],
    )
    def test_refuses(self, values: Any, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            rank_methods(values)
