"""Pictures. Functions take arrays and return matplotlib figures; they know nothing of samplers."""

from nngmix.plotting.comparison import plot_comparison
from nngmix.plotting.decision_boundary import plot_decision_boundary
from nngmix.plotting.pseudo_anomalies import embed, plot_pseudo_anomalies
from nngmix.plotting.side_by_side import plot_side_by_side
from nngmix.plotting.style import new_figure

__all__ = [
    "embed",
    "new_figure",
    "plot_comparison",
    "plot_decision_boundary",
    "plot_pseudo_anomalies",
    "plot_side_by_side",
]
