"""Pictures. Functions take arrays and return matplotlib figures; they know nothing of samplers."""

from nngmix.plotting.agreement import plot_agreement
from nngmix.plotting.comparison import plot_comparison
from nngmix.plotting.critical_difference import plot_critical_difference
from nngmix.plotting.decision_boundary import plot_decision_boundary
from nngmix.plotting.differences import plot_differences
from nngmix.plotting.lines import Panel, Series, plot_lines
from nngmix.plotting.pseudo_anomalies import embed, plot_pseudo_anomalies
from nngmix.plotting.seeds import plot_seeds
from nngmix.plotting.side_by_side import plot_side_by_side
from nngmix.plotting.style import new_figure

__all__ = [
    "Panel",
    "Series",
    "embed",
    "new_figure",
    "plot_agreement",
    "plot_comparison",
    "plot_critical_difference",
    "plot_decision_boundary",
    "plot_differences",
    "plot_lines",
    "plot_pseudo_anomalies",
    "plot_seeds",
    "plot_side_by_side",
]
