"""Scaler, sampler and detector as one estimator: fitted, cross-validated, searched, refreshed.

    python examples/pipelines.py

Uses the digits data that come with scikit-learn (no download), 30 % of its anomalies labelled, and
takes under a minute on two cores. Cross-validation with few labels: the folds are stratified, so
each holds its share of the labelled anomalies, and the samplers see training rows only. Hidden
anomalies among the unlabelled rows count as negatives there: the figures are too low, for all
candidates alike. The last line of each part is measured with the true labels.
"""

from imblearn.pipeline import make_pipeline
from sklearn.base import clone
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold, cross_validate
from sklearn.preprocessing import MinMaxScaler

from nngmix import NNGMix
from nngmix.datasets import load_builtin, make_split
from nngmix.detectors import MLP, DeepSAD


def tell(what, model, split):
    scores = model.decision_function(split.X_test)
    print(f"{what}: {average_precision_score(split.y_test, scores):.3f} AUCPR on the test rows")


def main():
    data = load_builtin("digits")
    split = make_split(data.data, data.target, label_ratio=0.3, seed=0, protocol="leak-free")
    X, y = split.X_train, split.y_train
    print(f"{len(y)} training rows, {y.sum()} of them labelled anomalies")

    # One estimator. In fit the sampler adds rows, in scoring it stands aside.
    model = make_pipeline(
        MinMaxScaler(), NNGMix(multiplier=10, random_state=0), MLP(max_iter=50, random_state=0)
    )
    tell("pipeline", clone(model).fit(X, y), split)

    # Cross-validation: repeated, since a fold holds only a few labelled anomalies.
    folds = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    found = cross_validate(model, X, y, cv=folds, scoring=["average_precision", "roc_auc"])
    for name in ("average_precision", "roc_auc"):
        values = found[f"test_{name}"]
        print(f"cross-validated {name}: {values.mean():.3f} ± {values.std(ddof=1):.3f}")

    # A search over settings of both the sampler and the detector.
    grid = {"nngmix__multiplier": [1, 10], "mlp__alpha": [1e-4, 1e-2]}
    search = GridSearchCV(model, grid, scoring="average_precision", cv=folds).fit(X, y)
    print(f"best of the grid: {search.best_params_}, {search.best_score_:.3f} in cross-validation")
    tell("best of the grid, fitted on all training rows", search, split)

    # A network can have fresh pseudo-anomalies every epoch: the sampler goes into the detector.
    for what, detector in (
        ("DeepSAD, no pseudo-anomalies", DeepSAD(random_state=0)),
        ("DeepSAD, fresh ones each epoch", DeepSAD(sampler=NNGMix(), random_state=0)),
    ):
        tell(what, make_pipeline(MinMaxScaler(), detector).fit(X, y), split)


if __name__ == "__main__":
    main()
