"""What a few labelled anomalies tell: how far to trust a view, how good a score is, who leaks.

Scores of the unlabelled rows and of the labelled anomalies go in, all of them honest: of an
anomaly, as if it had not been labelled. `AutoDetector` is made of this and of the views.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.special import expit, ndtri
from scipy.stats import t as student
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression

Floats = NDArray[np.float64]

# Scores beyond these many standard deviations say no more.
_LOW, _HIGH = -4.0, 8.0


class NormalScores(BaseEstimator):
    """From any score to normal scores: 0 is the median unlabelled row, 3 is one in a thousand.

    Between the levels that unlabelled rows reach it is their rank that counts; above the highest
    the scale goes on in a straight line, so that what exceeds them all still has an order.
    """

    def fit(self, scores: Floats) -> "NormalScores":
        """Learn the levels from the unlabelled rows' scores.

        Parameters
        ----------
        scores : ndarray of shape (n_rows,)
            Their honest scores.

        Returns
        -------
        self : NormalScores
        """
        n = len(scores)
        tail = np.geomspace(0.5 / n, 0.1, 100)
        ranks = np.unique(np.concatenate([np.linspace(0.5 / n, 1 - 0.5 / n, 200), 1 - tail]))
        ranks = np.clip(ranks, 0.5 / n, 1 - 0.5 / n)
        self.levels_ = np.unique(np.quantile(scores, ranks, method="hazen"))
        # Scores that repeat stand in the middle of the ranks that they share.
        ordered = np.sort(scores)
        below = np.searchsorted(ordered, self.levels_)
        middle = (below + np.searchsorted(ordered, self.levels_, "right")) / 2
        self.values_ = ndtri(np.clip(middle / n, 0.5 / n, 1 - 0.5 / n))
        top, high = self.levels_[-1], float(np.quantile(scores, 0.9))
        self.slope_ = 0.0
        if top > high:
            rise = max(0.0, float(self.values_[-1] - ndtri(0.9)))
            self.slope_ = rise / max(float(top - high), 1e-300)
        elif len(self.levels_) > 1 or n > 1:
            # Nine tenths share the highest level: whatever exceeds it exceeds it by far.
            self.slope_ = 4.0 / max(abs(top), 1e-9)
        return self

    def transform(self, scores: Floats) -> Floats:
        """Turn scores into normal scores; NaN stays.

        Parameters
        ----------
        scores : ndarray of shape (n_rows,)
            Scores of any rows.

        Returns
        -------
        ndarray of shape (n_rows,)
            From -4 to 8.
        """
        normal = np.interp(scores, self.levels_, self.values_)
        with np.errstate(over="ignore"):
            beyond = np.fmax(scores - self.levels_[-1], 0.0)
            normal = normal + np.minimum(self.slope_ * beyond, 4.0)
        return np.where(np.isnan(scores), np.nan, np.clip(normal, _LOW, _HIGH))


@dataclass(frozen=True)
class Trust:
    """What is expected of a view before any label is seen.

    Attributes
    ----------
    weight : float
        Its weight where the labelled anomalies score as expected.
    expected : float
        Mean normal score that anomalies have by it.
    labels : float, default=0
        Labels with which it has half of its weight: 0 for a view that is of use with a single one.
    """

    weight: float
    expected: float
    labels: float = 0.0

    def expect(self, n_labels: Any) -> Any:
        """Weigh the view by how many labels there are alone.

        Parameters
        ----------
        n_labels : float or ndarray
            How many, or several such numbers.

        Returns
        -------
        float or ndarray
            At least 0.
        """
        return self.weight * (n_labels / (n_labels + self.labels) if self.labels else 1.0)


def weigh(trust: Trust, found: Floats, weights: Floats) -> tuple[float, float]:
    """Weigh a view by how high it puts the labelled anomalies.

    Expectation and finding are averaged, the expectation counting as six anomalies; the weight
    grows with the square of the result. So a single label moves it a little, and hundreds decide.
    A view that is of use only with many labels comes in with them.

    Parameters
    ----------
    trust : Trust
        The expectation.
    found : ndarray of shape (n_anomalies,)
        Honest normal scores of the labelled anomalies; NaN where there is none.
    weights : ndarray of shape (n_anomalies,)
        What each counts, relative to the others.

    Returns
    -------
    weight : float
        At least 0.
    mean : float
        The average that it follows from.
    """
    count, total = _tally(found, weights)
    mean = float(total.sum() + _EXPECTED_COUNTS * trust.expected)
    mean /= float(count.sum()) + _EXPECTED_COUNTS
    weight = float(trust.expect(count.sum()))
    return weight * max(mean / trust.expected, 0.0) ** 2, mean


def weigh_without(trust: Trust, found: Floats, weights: Floats) -> Floats:
    """Weigh a view as if an anomaly had not been labelled: each in its turn.

    Parameters
    ----------
    trust, found, weights
        As in :func:`weigh`.

    Returns
    -------
    ndarray of shape (n_anomalies,)
        The weight without that anomaly.
    """
    count, total = _tally(found, weights)
    count = count.sum() - count
    mean = total.sum() - total + _EXPECTED_COUNTS * trust.expected
    mean /= count + _EXPECTED_COUNTS
    weight: Floats = trust.expect(count) * np.maximum(mean / trust.expected, 0.0) ** 2
    return weight


def _tally(found: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Tell of each anomaly how much it counts, and what it adds up to."""
    count = np.where(np.isnan(found), 0.0, weights / weights.mean())
    return count, count * np.clip(np.nan_to_num(found), -2.0, 4.0)


_EXPECTED_COUNTS = 6.0


@dataclass
class Quality:
    """How good a score is, as far as the labels tell.

    Attributes
    ----------
    n_labels : int
        Labelled anomalies with an honest score.
    share : float
        Estimated share of anomalies among the unlabelled rows.
    aucroc, aucpr : float
        Estimates; NaN where no anomaly could be held out.
    aucroc_interval, aucpr_interval : tuple of two floats
        Where they lie, at a level of 90 %.
    """

    n_labels: int
    share: float
    aucroc: float
    aucroc_interval: tuple[float, float]
    aucpr: float
    aucpr_interval: tuple[float, float]


def measure_quality(unlabelled: Floats, anomalies: Floats, share: float | None = None) -> Quality:
    """Estimate from honest scores how good they are.

    Hidden anomalies among the unlabelled rows look like mistakes; for as many as there are by the
    estimated share, the estimates make up. All estimates take the labelled anomalies for a fair
    sample of all anomalies.

    Parameters
    ----------
    unlabelled : ndarray of shape (n_unlabelled,)
        Their honest scores.
    anomalies : ndarray of shape (n_anomalies,)
        Theirs; NaN where an anomaly could not be held out.
    share : float or None, default=None
        Of anomalies among the unlabelled rows, where it is known. None estimates it, which leans
        to too many where anomalies are rare and hard to tell; then `aucpr` is too high as well.

    Returns
    -------
    Quality
    """
    found = np.sort(anomalies[~np.isnan(anomalies)])
    n = len(found)
    if n == 0:
        share = math.exp(_SHARE_MEAN) if share is None else share
        return Quality(0, share, math.nan, (0.0, 1.0), math.nan, (0.0, 1.0))
    levels = np.sort(unlabelled)
    log_share, spread = _estimate_share(levels, found) if share is None else (math.log(share), 0.0)
    share = math.exp(log_share)
    ranks = (np.searchsorted(levels, found) + np.searchsorted(levels, found, "right")) / 2
    ranks /= len(levels)
    rng = np.random.default_rng(0)
    shares = np.minimum(np.exp(log_share + spread * rng.standard_normal(1000)), 0.5)
    # One draw at a time: a thousand of many labels would not fit in memory.
    aucpr = [
        _average_precision(levels, np.sort(found[rng.integers(n, size=n)]), some) for some in shares
    ]
    # As if two more anomalies, of the usual spread, had been seen: a few that agree by chance
    # would else seem certain.
    deviation = math.sqrt((n * float(ranks.var()) + 2 * 0.06) / (n + 2) / n)
    raw = float(ranks.mean())
    # The share is not known either; and three points are for what no number of labels shows, such
    # as hidden anomalies unlike the labelled ones.
    by_share = 1.64 * spread * share * abs(raw - 0.5) / (1 - share) ** 2
    reach = math.hypot(float(student.ppf(0.95, max(n - 1, 1))) * deviation, by_share, 0.03)
    low, middle, high = (
        float(np.clip((value - share / 2) / (1 - share), 0.0, 1.0))
        for value in (raw - reach, raw, raw + reach)
    )
    return Quality(
        n_labels=n,
        share=share,
        aucroc=middle,
        aucroc_interval=(low, high),
        aucpr=_average_precision(levels, found, share),
        aucpr_interval=(float(np.quantile(aucpr, 0.05)), float(np.quantile(aucpr, 0.95))),
    )


# The share of anomalies in 30 tables, as a logarithm: 7 %, give or take a factor of three.
_SHARE_MEAN, _SHARE_VARIANCE = -2.6, 1.2


def _estimate_share(levels: Floats, found: Floats) -> tuple[float, float]:
    """Estimate the logarithm of the share of anomalies among unlabelled rows, and its error.

    Half of the anomalies score above the labelled ones' median; were the unlabelled rows above it
    all anomalies, their share times two would be that of anomalies; likewise with the upper
    quarter. How far off the lower of the two is, by the number of labels, was measured on 30
    tables.
    """
    n = len(found)
    bounds = []
    for part in (0.25, 0.5):
        above = len(levels) - np.searchsorted(levels, np.quantile(found, 1 - part))
        bounds.append((above + 0.5) / (len(levels) + 1) / part)
    seen, variance = math.log(min(bounds)) - 2.0 / n, 0.4 + 7.0 / n
    weight = _SHARE_VARIANCE / (_SHARE_VARIANCE + variance)
    mean = _SHARE_MEAN + weight * (seen - _SHARE_MEAN)
    return min(mean, math.log(0.5)), math.sqrt(_SHARE_VARIANCE * (1 - weight))


def _average_precision(levels: Floats, found: Floats, share: float) -> float:
    """Average precision, were `found` the anomalies' scores and `share` their share."""
    n = len(found)
    hits = share * (n - np.arange(n)) / n
    above = (len(levels) - np.searchsorted(levels, found) + 0.5) / (len(levels) + 1)
    return float(np.mean(hits / np.maximum(above, hits)))


class Probability(BaseEstimator):
    """From scores to the probability of being an anomaly."""

    #: What anomalies score before any is seen: middle and spread, and the labels that this counts.
    _MIDDLE, _SPREAD, _COUNTS = 1.6, 1.1, 3.0

    def fit(self, unlabelled: Floats, anomalies: Floats, share: float) -> "Probability":
        """Learn from honest scores.

        The density of anomalies (a normal one) times their share, over the density of unlabelled
        rows (a smoothed count), made to rise with the score; the fewer the labels, the nearer to
        what is usual.

        Parameters
        ----------
        unlabelled, anomalies : ndarray of shape (n_unlabelled,), (n_anomalies,)
            Honest scores; NaN is passed over.
        share : float
            Of anomalies among the unlabelled rows.

        Returns
        -------
        self : Probability
        """
        found = anomalies[~np.isnan(anomalies)]
        total = len(found) + self._COUNTS
        middle = (found.sum() + self._COUNTS * self._MIDDLE) / total
        square = ((found - middle) ** 2).sum() + self._COUNTS * self._SPREAD**2
        spread = math.sqrt(square / total)
        edges = np.linspace(_LOW - 1, _HIGH + 1, 281)
        self.levels_ = (edges[1:] + edges[:-1]) / 2
        step = edges[1] - edges[0]
        count = np.histogram(np.clip(unlabelled, _LOW, _HIGH), edges)[0] / len(unlabelled) / step
        # The smoothing is wider where rows are rare.
        density = gaussian_filter1d(count, 0.25 / step) * 0.98 + gaussian_filter1d(count, 20) * 0.02
        of_anomalies = np.exp(-0.5 * ((self.levels_ - middle) / spread) ** 2) / (
            spread * math.sqrt(2 * math.pi)
        )
        odds = np.minimum(share * of_anomalies / np.maximum(density, 1e-12), 1.0)
        rising = IsotonicRegression(out_of_bounds="clip")
        # Beyond the anomalies' middle a higher score is never a lower probability.
        beyond = self.levels_ > middle
        odds[beyond] = np.maximum.accumulate(odds[beyond])
        found_so = rising.fit_transform(self.levels_, odds, sample_weight=density + 1e-9)
        # What such scores mean in most tables counts as two labels: a few are no certainty.
        usual = expit(1.5 * (self.levels_ - 2.5))
        self.values_ = (len(found) * found_so + 2 * usual) / (len(found) + 2)
        return self

    def transform(self, scores: Floats) -> Floats:
        """Turn scores into probabilities.

        Parameters
        ----------
        scores : ndarray of shape (n_rows,)
            Scores of any rows.

        Returns
        -------
        ndarray of shape (n_rows,)
            From 0 to 1.
        """
        return np.interp(scores, self.levels_, self.values_)


def find_leaks(unlabelled: NDArray[Any], anomalies: NDArray[Any]) -> list[int]:
    """Find columns that seem to know the label.

    Hidden anomalies are like the labelled ones, so a column that can only know how anomalous a row
    is has them among the labelled ones' values. A column in which next to no unlabelled row lies
    in the range of the labelled anomalies tells who was labelled.

    Parameters
    ----------
    unlabelled, anomalies : ndarray of shape (n_rows, n_columns)
        The rows; NaN where a value is missing.

    Returns
    -------
    list of int
        Places of the columns. Always empty with fewer than three anomalies, which have a range of
        their own by chance.
    """
    n = len(anomalies)
    if n < _FEWEST_FOR_LEAKS:
        return []
    missing = np.isnan(anomalies)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns without values
        low, high = np.nanmin(anomalies, axis=0), np.nanmax(anomalies, axis=0)
    inside = ((unlabelled >= low) & (unlabelled <= high)).sum(axis=0)
    by_value = ~missing.any(axis=0) & (inside <= n * 0.05)
    # Nor should a value be missing just where there is a label.
    by_gap = missing.all(axis=0) & (np.isnan(unlabelled).sum(axis=0) <= n * 0.05)
    return np.flatnonzero(by_value | by_gap).tolist()


_FEWEST_FOR_LEAKS = 3


def in_words(items: Sequence[str], most: int = 5) -> str:
    """List things as a sentence does.

    Parameters
    ----------
    items : sequence of str
        The things.
    most : int, default=5
        How many to name.

    Returns
    -------
    str

    Examples
    --------
    >>> in_words(["a", "b", "c"])
    'a, b and c'
    """
    if len(items) > most:
        return ", ".join(items[:most]) + f" and {len(items) - most} more"
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))
