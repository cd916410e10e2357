"""torch's tensors in and out: samplers work on arrays, and hand tensors back to where they were."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray


def device_of(values: Any) -> Any:
    """Tell where a tensor is; None for anything that is no tensor.

    Parameters
    ----------
    values : object
        Anything.

    Returns
    -------
    torch.device or None

    Examples
    --------
    >>> device_of([1.0, 2.0]) is None
    True
    """
    # Who has a tensor has loaded torch. Another thread may be loading it just now.
    kind = getattr(sys.modules.get("torch"), "Tensor", None)
    return values.device if kind is not None and isinstance(values, kind) else None


def to_array(values: Any) -> Any:
    """Turn a tensor into an array, on the processor; leave anything else as it is."""
    return values if device_of(values) is None else values.detach().cpu().numpy()


def to_tensor(values: NDArray[np.generic], device: Any) -> Any:
    """Turn an array into a tensor on a device; leave it as it is where the device is None."""
    return values if device is None else sys.modules["torch"].from_numpy(values).to(device)
