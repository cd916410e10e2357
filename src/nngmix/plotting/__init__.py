"""Pictures. Functions take arrays and return matplotlib figures; they know nothing of samplers."""

from nngmix.plotting.pseudo_anomalies import embed, plot_pseudo_anomalies

__all__ = ["embed", "plot_pseudo_anomalies"]
