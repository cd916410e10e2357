"""What the statistical tests of the samplers share.

Each check takes what a test decoded from generated rows and holds it against what the definition
says, at a significance of 1e-4; seeds are fixed, so a check that passes once always passes.
"""

from collections import Counter

import numpy as np
from scipy import stats

SIGNIFICANCE = 1e-4


def draw(sampler, anomalies, unlabelled, n):
    """Rows of a sampler that knows these anomalies and unlabelled rows."""
    X = np.vstack([anomalies, unlabelled])
    return sampler.fit(X, np.repeat([1, 0], [len(anomalies), len(unlabelled)])).sample(n)


def in_units(kind):
    """A generator that works in odd units inside, and gives and takes scaled rows.

    The rows of a sampler with ``scaling="minmax"``, put through the scaler, must follow the
    definition as those of the same sampler without scaling do. The unlabelled rows must have the
    lowest value 0 and the highest 1 in each column, and no anomaly may be outside.
    """

    def generate(anomalies, unlabelled, n, *, seed, **settings):
        width = anomalies.shape[1]
        unit, low = 10.0 ** (np.arange(width) % 7 - 3), 5.0 * (-1.0) ** np.arange(width)
        sampler = kind(random_state=seed, **settings)
        assert sampler.scaling == "minmax"
        rows = draw(sampler, low + unit * anomalies, low + unit * unlabelled, n)
        return (rows - low) / unit

    return generate


def scaled_rows(rng, n, width):
    """Rows with 0 as the lowest and 1 as the highest value of each column."""
    rows = rng.random((n, width))
    return (rows - rows.min(axis=0)) / np.ptp(rows, axis=0)


def check_counts(outcomes, law, what):
    """The outcomes are those that the law allows, all of them, and as often as it says.

    Outcomes that are expected fewer than 20 times need not occur, and count together.
    """
    counted = Counter(outcomes)
    n, total = sum(counted.values()), sum(law.values())
    strange = set(counted) - {outcome for outcome, p in law.items() if p > 0}
    assert not strange, f"{what}: {sorted(strange, key=str)[:5]} may not be"
    observed, expected = [0], [0.0]
    for outcome, p in law.items():
        if p * n / total < 20:
            observed[0] += counted[outcome]
            expected[0] += p * n / total
        else:
            assert counted[outcome], f"{what}: {outcome} never comes"
            observed.append(counted[outcome])
            expected.append(p * n / total)
    start = 0 if expected[0] >= 5 else 1
    f_obs, f_exp = np.array(observed[start:]), np.array(expected[start:])
    if len(f_obs) > 1:
        p = stats.chisquare(f_obs, f_exp * f_obs.sum() / f_exp.sum()).pvalue
        assert p > SIGNIFICANCE, f"{what}: not as often as the definition says, p = {p:.2g}"


def check_even(outcomes, possible, what):
    """All the possible outcomes, each as likely."""
    check_counts(outcomes, dict.fromkeys(possible, 1.0), what)


def check_law(values, cdf, what):
    """The values follow a continuous distribution."""
    p = stats.kstest(np.ravel(values), cdf).pvalue
    assert p > SIGNIFICANCE, f"{what}: another distribution, p = {p:.2g}"


def check_noise(noise, sigma):
    """Gaussian noise of one sigma, independent from column to column and from row to row."""
    z = noise / sigma
    n, width = z.shape
    upper = stats.chi2.sf((z**2).sum(), z.size)
    assert SIGNIFICANCE < upper < 1 - SIGNIFICANCE, f"the noise has another sigma: {upper:.2g}"
    for column in {0, width - 1}:
        check_law(z[:, column], "norm", f"noise of column {column}")
        upper = stats.chi2.sf((z[:, column] ** 2).sum(), n)
        assert SIGNIFICANCE < upper < 1 - SIGNIFICANCE, f"sigma of column {column}: {upper:.2g}"
    # Mean products of independent numbers: rows one apart, and columns any number apart.
    products = [(z[:-1], z[1:])] + [(z[:, k:], z[:, :-k]) for k in range(1, width)]
    scores = [(a * b).sum() / np.sqrt(a.size) for a, b in products]
    p = stats.chi2.sf(np.square(scores).sum(), len(scores))
    assert p > SIGNIFICANCE, f"the noise of rows or columns is not independent: p = {p:.2g}"


def check_mixtures(rows, parents, law, weight, what):
    """Two parents of each row, as often as the law says, and the larger weight's distribution.

    Parameters
    ----------
    rows : the generated rows, none of a single parent.
    parents : rows that are linearly independent.
    law : {(i, j): probability} with i < j, pairs of places in ``parents``.
    weight : a frozen scipy distribution, symmetric around 1/2, or None to leave it out.
    what : what to call the rows.
    """
    weights = rows @ np.linalg.pinv(parents)
    np.testing.assert_allclose(weights @ parents, rows, atol=1e-9, err_msg="not a mixture")
    np.testing.assert_allclose(weights.sum(axis=1), 1, err_msg="weights don't add up to 1")
    found = weights > 1e-7
    assert (found.sum(axis=1) == 2).all(), f"{what}: a row without exactly two parents"
    pairs = np.nonzero(found)[1].reshape(-1, 2)
    check_counts(map(tuple, pairs.tolist()), law, f"parents of {what}")
    if weight is not None:
        check_heavier(weights.max(axis=1), weight, what)


def check_heavier(heavier, weight, what):
    """The larger of the two weights, which does not tell who was first."""
    check_law(2 * weight.cdf(heavier) - 1, "uniform", f"weights of {what}")


def window_law(width, low=0.1, high=0.3):
    """The probability of each window of columns: {(start, stop): p}, None for an empty one.

    The share is even from low to high: every whole number of columns n covers a part of that
    range. The window goes from x - n // 2 up to, not including, x + n // 2, cut to the row.
    """
    law = {}
    for n in range(width + 1):
        if low == high:
            p = float(n == int(low * width))
        else:
            p = max(0.0, min(high, (n + 1) / width) - max(low, n / width)) / (high - low)
        half = max(n, 1) // 2
        for x in range(width) if p > 0 else ():
            window = max(x - half, 0), min(x + half, width)
            key = window if window[0] < window[1] else None
            law[key] = law.get(key, 0.0) + p / width
    return {window: p for window, p in law.items() if p > 1e-12}


def windows_of(inside):
    """The window of each row from a mask of the cells inside; it must have no holes."""
    out = []
    for row in inside:
        columns = np.flatnonzero(row)
        if len(columns) == 0:
            out.append(None)
            continue
        start, stop = int(columns[0]), int(columns[-1]) + 1
        assert stop - start == len(columns), "a window with holes"
        out.append((start, stop))
    return out


def coded_anomalies(n, width):
    """Anomalies in which each cell's value, between 0.25 and 0.75, tells where it is from."""
    return 0.25 + (np.arange(n * width).reshape(n, width) + 0.5) / (2 * n * width)


def origins(rows, n):
    """The anomaly and column that each cell of rows of coded anomalies came from."""
    codes = (rows - 0.25) * 2 * n * rows.shape[1] - 0.5
    whole = np.rint(codes)
    assert np.abs(codes - whole).max() < 0.4, "a value that is in no anomaly"
    return np.divmod(whole.astype(int), rows.shape[1])


def pastes_of(rows, n):
    """First and second anomaly and (start, stop, place) of each row; None where none shows."""
    anomaly, column = origins(rows, n)
    out = []
    for who, where in zip(anomaly, column, strict=True):
        first = int(np.bincount(who).argmax())
        foreign = np.flatnonzero((who != first) | (where != np.arange(len(where))))
        if len(foreign) == 0:
            out.append((first, None, None))
            continue
        place, end = int(foreign[0]), int(foreign[-1]) + 1
        assert end - place == len(foreign), "a pasted window with holes"
        second = set(who[place:end].tolist())
        assert len(second) == 1, "a window pasted from two anomalies"
        start = int(where[place])
        assert (np.diff(where[place:end]) == 1).all(), "a window that is not one piece"
        out.append((first, second.pop(), (start, start + end - place, place)))
    return out


def paste_law(width, low=0.1, high=0.3):
    """The probability of each window and the place it is pasted at, 0 .. width - length - 1."""
    law = {}
    for window, p in window_law(width, low, high).items():
        if window is None:
            law[None] = p
            continue
        places = max(width - (window[1] - window[0]), 1)
        for place in range(places):
            law[*window, place] = p / places
    return law
