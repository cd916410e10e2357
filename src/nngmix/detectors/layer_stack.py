"""A training step of DeepSAD's layers with the gradient written out.

For networks this small, automatic differentiation takes three times as long as the arithmetic.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

#: Slope of the leaky ReLU below zero.
SLOPE = 0.01


class LayerStack:
    """Linear layers without biases, each followed by batch norm and a leaky ReLU or by nothing.

    Parameters
    ----------
    *networks : torch.nn.Sequential
        One after another: ``Linear``, or ``Linear, BatchNorm1d, LeakyReLU``, in a row. They are
        trained in place, once `release` is called.

    Attributes
    ----------
    weights : torch.Tensor
        All weights in one, with their gradient in ``weights.grad``: an optimiser's step is then
        one operation.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> network = nn.Sequential(nn.Linear(3, 2, bias=False))
    >>> stack = LayerStack(network)
    >>> out = stack.forward(torch.ones(4, 3))
    >>> stack.backward(torch.ones(4, 2))
    >>> stack.weights.grad
    tensor([4., 4., 4., 4., 4., 4.])
    """

    def __init__(self, *networks: "torch.nn.Sequential") -> None:
        import torch
        from torch import nn

        self._linears: list[Any] = []
        self._norms: list[Any] = []
        for part in (part for network in networks for part in network):
            if isinstance(part, nn.Linear):
                self._linears.append(part)
                self._norms.append(None)
            elif isinstance(part, nn.BatchNorm1d):
                self._norms[-1] = part
        self.weights = torch.cat([linear.weight.detach().ravel() for linear in self._linears])
        self.weights.grad = torch.zeros_like(self.weights)
        sizes = [linear.weight.numel() for linear in self._linears]
        shapes = [linear.weight.shape for linear in self._linears]
        self._views, self._gradients = (
            [
                flat.view(shape)
                for flat, shape in zip(torch.split(whole, sizes), shapes, strict=True)
            ]
            for whole in (self.weights, self.weights.grad)
        )
        self._tape: list[Any] = []

    def forward(self, x: "torch.Tensor") -> "torch.Tensor":
        """Compute the output in training mode, and keep what `backward` needs.

        Parameters
        ----------
        x : torch.Tensor of shape (n_rows, n_inputs)
            At least two rows where there is a batch norm.

        Returns
        -------
        torch.Tensor of shape (n_rows, n_outputs)
        """
        import torch
        from torch.nn.functional import leaky_relu, linear

        self._tape = []
        for weight, norm in zip(self._views, self._norms, strict=True):
            z = linear(x, weight)
            if norm is None:
                self._tape.append((x, z, None, None, None))
                x = z
                continue
            # It also moves the running mean and variance.
            y, mean, scale = torch.native_batch_norm(
                z, None, None, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
            )
            self._tape.append((x, z, y, mean, scale))
            x = leaky_relu(y, SLOPE)
        return x

    def backward(self, gradient: "torch.Tensor") -> None:
        """Write the gradient of the weights, given that of the output of the last `forward`.

        Parameters
        ----------
        gradient : torch.Tensor of shape (n_rows, n_outputs)
            Of the loss by the output.
        """
        import torch

        aten = torch.ops.aten
        for i in reversed(range(len(self._views))):
            x, z, y, mean, scale = self._tape[i]
            norm = self._norms[i]
            if norm is not None:
                gradient = aten.leaky_relu_backward(gradient, y, SLOPE, False)
                gradient = aten.native_batch_norm_backward(
                    gradient, z, None, norm.running_mean, norm.running_var, mean, scale, True,
                    norm.eps, [True, False, False],
                )[0]  # fmt: skip
            torch.mm(gradient.T, x, out=self._gradients[i])
            if i:
                gradient = gradient @ self._views[i]

    def release(self) -> None:
        """Give the networks their trained weights, each layer its own."""
        for linear, view in zip(self._linears, self._views, strict=True):
            linear.weight.data.copy_(view)
