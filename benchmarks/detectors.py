"""Speed of DeepSAD, FTTransformer and XGBOD beside plain loops and peers, in one run, same rows.

    python benchmarks/detectors.py [--adbench FOLDER] [--only deepsad fttransformer xgbod]
        [--quality-on 29_Pima]

The rows: ADBench's satellite (6435 x 36, of which 4504 train, 10 % of the anomalies labelled) where
its folder is given, else random rows of that shape. Times are medians of runs in turns; AUCROC is
on the test rows, over five seeds. Whole trainings of FTTransformer take long: --quality-on names
a smaller set for them.

DeepSAD's peer is the public programs' manner written plainly: a DataLoader that hands out one row
at a time, 100 epochs of an auto-encoder whose weights are then not used, 50 epochs of training; and
DeepOD's DeepSAD with the same network, epochs and step size, if it is installed. FTTransformer's
peer is the plain loop over rtdl's module, which scores all training rows after every epoch as
ADBench does; its time per epoch is measured over a few epochs. XGBOD's peer is PyOD's, on random
rows; benchmarks/xgbod.py, which this calls, has more options.
"""

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from rtdl_revisiting_models import FTTransformer as Network
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, leaky_relu

from nngmix.datasets import load_adbench, make_split
from nngmix.detectors import DeepSAD, FTTransformer

THREADS = 2


def rows(folder: Path | None, seed: int = 0, dataset: str = "30_satellite"):
    if folder is None:
        rng = np.random.default_rng(seed)
        X, y = rng.random((6435, 36)), (rng.random(6435) < 0.3).astype(int)
        X[y == 1, :5] += 0.2
    else:
        data = load_adbench(dataset, data_home=folder)
        X, y = data.data, data.target
    split = make_split(X, y, label_ratio=0.1, seed=seed)
    order = np.argsort(split.y_train, kind="stable")
    return split.X_train[order], split.y_train[order], split.X_test, split.y_test


def in_turns(calls, repeats):
    """Run each once to warm up, then in turns; return the median seconds of each."""
    times = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found) for name, found in times.items()}


# DeepSAD in the public programs' manner


class Layers(nn.Module):
    """The network of the public programs."""

    def __init__(self, *dims):
        super().__init__()
        self.linear = nn.ModuleList(
            [nn.Linear(dims[i], dims[i + 1], bias=False) for i in range(len(dims) - 1)]
        )
        self.norm = nn.ModuleList([nn.BatchNorm1d(d, eps=1e-4, affine=False) for d in dims[1:-1]])

    def forward(self, x):
        """Compute the codes."""
        for linear, norm in zip(self.linear[:-1], self.norm, strict=True):
            x = leaky_relu(norm(linear(x)))
        return self.linear[-1](x)


class RowByRow(torch.utils.data.Dataset):
    """One row at a time."""

    def __init__(self, X, y):
        self.X, self.y = torch.tensor(X, dtype=torch.float32), torch.tensor(y)

    def __getitem__(self, i):
        return self.X[i], int(self.y[i]), i

    def __len__(self):
        return len(self.y)


def plain_deepsad(X, y, X_test, seed):
    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    loader = torch.utils.data.DataLoader(
        RowByRow(X, y), batch_size=128, shuffle=True, drop_last=True
    )
    network = Layers(X.shape[1], 100, 20, 10)
    auto = nn.Sequential(
        Layers(X.shape[1], 100, 20, 10), Layers(10, 20, 100, X.shape[1]), nn.Sigmoid()
    )
    adam = torch.optim.Adam(auto.parameters(), lr=1e-4, weight_decay=1e-6)
    for _ in range(100):
        for x, _, _ in loader:
            adam.zero_grad()
            loss = nn.functional.mse_loss(auto(x), x)
            loss.backward()
            adam.step()
    network.eval()
    with torch.no_grad():
        c = torch.cat([network(x) for x, _, _ in loader]).mean(dim=0)
    c[(c.abs() < 0.1) & (c < 0)] = -0.1
    c[(c.abs() < 0.1) & (c > 0)] = 0.1
    network.train()
    adam = torch.optim.Adam(network.parameters(), lr=1e-4, weight_decay=1e-6)
    for _ in range(50):
        for x, labels, _ in loader:
            adam.zero_grad()
            d2 = ((network(x) - c) ** 2).sum(dim=1)
            torch.where(labels == 0, d2, 1 / (d2 + 1e-6)).mean().backward()
            adam.step()
    network.eval()
    with torch.no_grad():
        return ((network(torch.tensor(X_test, dtype=torch.float32)) - c) ** 2).sum(dim=1).numpy()


def deepod(X, y, X_test, seed):
    from deepod.models.tabular import DeepSAD as Theirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        detector = Theirs(
            epochs=50,
            batch_size=128,
            lr=1e-4,
            rep_dim=10,
            hidden_dims="100,20",
            act="LeakyReLU",
            device="cpu",
            verbose=0,
            random_state=seed,
        )
        detector.fit(X, y)
        return detector.decision_function(X_test)


def ours_deepsad(X, y, X_test, seed, **settings):
    detector = DeepSAD(random_state=seed, **settings).fit(X, y)
    return detector.decision_function(X_test)


def deepsad(folder, repeats):
    X, y, X_test, _ = rows(folder)
    rivals = {
        "nngmix DeepSAD(pretrain=False)": lambda *a: ours_deepsad(*a, pretrain=False),
        "nngmix DeepSAD(pretrain=True)": ours_deepsad,
        "plain loop": plain_deepsad,
    }
    try:
        import deepod as _  # noqa: F401

        rivals["DeepOD DeepSAD"] = deepod
    except ImportError:
        print("DeepOD is not installed here.")
    calls = {name: lambda f=f: f(X, y, X_test, 0) for name, f in rivals.items()}
    times = in_turns(calls, repeats)
    ours = times["nngmix DeepSAD(pretrain=False)"]
    print(f"\nDeepSAD, {X.shape[0]} x {X.shape[1]}, fit and score, median of {repeats}\n")
    print("| | seconds | x nngmix | AUCROC over five seeds |\n|---|---|---|---|")
    for name, f in rivals.items():
        found = []
        for seed in range(5):
            *data, y_test = rows(folder, seed)
            found.append(roc_auc_score(y_test, f(*data, seed)))
        print(
            f"| {name} | {times[name]:.2f} | {times[name] / ours:.1f} | "
            f"{np.mean(found):.4f} ± {np.std(found, ddof=1):.4f} |",
            flush=True,
        )


# FTTransformer as a plain loop


def plain_fttransformer(X, y, X_test, seed, epochs):
    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    network = Network(
        n_cont_features=X.shape[1], cat_cardinalities=[], d_out=1, **Network.get_default_kwargs()
    )
    adam = network.make_default_optimizer()
    x_all, y_all = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)

    @torch.no_grad()
    def score(x):
        network.eval()
        return torch.cat([network(part, None) for part in x.split(64)]).squeeze(1).numpy()

    for _ in range(epochs):
        network.train()
        for batch in torch.randperm(len(y)).split(64):
            adam.zero_grad()
            loss = binary_cross_entropy_with_logits(
                network(x_all[batch], None).squeeze(1), y_all[batch]
            )
            loss.backward()
            adam.step()
        average_precision_score(y, score(x_all))
    return score(torch.tensor(X_test, dtype=torch.float32))


def ours_fttransformer(X, y, X_test, seed, epochs):
    detector = FTTransformer(epochs=epochs, random_state=seed).fit(X, y)
    return detector.decision_function(X_test)


def fttransformer(folder, repeats, timed_epochs, dataset, seeds, epochs):
    X, y, X_test, _ = rows(folder)
    rivals = {"nngmix FTTransformer": ours_fttransformer, "plain loop": plain_fttransformer}
    # The difference of a long and a short run is the time of the epochs alone.
    calls = {}
    for name, f in rivals.items():
        for n in (1, 1 + timed_epochs):
            calls[name, n] = lambda f=f, n=n: f(X, y, X_test[:64], 0, n)
    times = in_turns(calls, repeats)
    per_epoch = {
        name: (times[name, 1 + timed_epochs] - times[name, 1]) / timed_epochs for name in rivals
    }
    ours = per_epoch["nngmix FTTransformer"]
    print(f"\nFTTransformer, {X.shape[0]} x {X.shape[1]}, median of {repeats}\n")
    print("| | seconds an epoch | x nngmix |\n|---|---|---|")
    for name in rivals:
        print(f"| {name} | {per_epoch[name]:.2f} | {per_epoch[name] / ours:.2f} |", flush=True)
    quality_of_fttransformer(folder, dataset, seeds, epochs)


def quality_of_fttransformer(folder, dataset, seeds, epochs):
    apart = []
    for seed in range(seeds):
        X, y, X_test, y_test = rows(folder, seed, dataset)
        if not seed:
            print(f"\n{dataset}, {X.shape[0]} x {X.shape[1]}, AUCROC after {epochs} epochs\n")
            print("| seed | nngmix FTTransformer | plain loop |\n|---|---|---|")
        found = [
            roc_auc_score(y_test, f(X, y, X_test, seed, epochs))
            for f in (ours_fttransformer, plain_fttransformer)
        ]
        apart.append(found)
        print(f"| {seed} | {found[0]:.4f} | {found[1]:.4f} |", flush=True)
    if seeds:
        means = np.mean(apart, axis=0)
        print(f"| mean | {means[0]:.4f} | {means[1]:.4f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--adbench", type=Path)
    parser.add_argument("--only", nargs="+", default=["deepsad", "fttransformer", "xgbod"])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--timed-epochs", type=int, default=2)
    parser.add_argument("--quality-on", default="30_satellite", help="for FTTransformer's AUCROC")
    parser.add_argument("--seeds", type=int, default=5, help="whole trainings of FTTransformer")
    parser.add_argument("--epochs", type=int, default=100, help="of those trainings")
    args = parser.parse_args()
    if "deepsad" in args.only:
        deepsad(args.adbench, args.repeats)
    if "fttransformer" in args.only:
        fttransformer(
            args.adbench,
            args.repeats,
            args.timed_epochs,
            args.quality_on,
            args.seeds,
            args.epochs,
        )
    if "xgbod" in args.only:
        from xgbod import beside_pyod

        print("\nXGBOD\n")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            beside_pyod(5000, 36, args.repeats, THREADS)
