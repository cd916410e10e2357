"""Your own samplers in Fig. 8 of the paper: what they make of a classifier's boundary.

Three clusters of anomalies around one of unlabelled rows; a support vector machine with a Gaussian
kernel, trained without pseudo-anomalies and with those of some samplers. The figure as it is in
the paper: nngmix reproduce figure-8.

    python examples/decision_boundary.py [PICTURE]
"""

import sys

from nngmix import Cutout, Mixup, NNGMix
from nngmix.experiments.pictures import draw_boundaries


def main(path: str) -> None:
    figure, shares = draw_boundaries(
        {
            "(a) no pseudo-anomalies": None,
            "(b) Mixup, all rows": Mixup(partner="all", random_state=0),
            "(c) Cutout": Cutout(random_state=0),
            "(d) NNG-Mix": NNGMix(random_state=0),
        }
    )
    for name, share in shares.items():
        print(f"{name}: {share:.1%} of the unlabelled rows called anomalies")
    figure.savefig(path)
    print(f"written: {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "decision_boundary.png")
