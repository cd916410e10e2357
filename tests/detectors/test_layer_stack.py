"""The gradient that is written out is the one that torch finds."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
from torch import nn  # noqa: E402

from nngmix.detectors.deepsad import _badness, _reconstruction  # noqa: E402
from nngmix.detectors.layer_stack import LayerStack  # noqa: E402


def network(*dims):
    torch.manual_seed(len(dims))
    parts = []
    for i in range(len(dims) - 1):
        parts.append(nn.Linear(dims[i], dims[i + 1], bias=False))
        if i < len(dims) - 2:
            norm = nn.BatchNorm1d(dims[i + 1], eps=1e-4, affine=False)
            parts += [norm, nn.LeakyReLU(0.01)]
    return nn.Sequential(*parts).double()


@pytest.mark.parametrize("dims", [(6, 3), (6, 5, 3), (6, 8, 5, 3), (1, 4, 1)])
def test_output_and_gradient(dims):
    plain, ours = network(*dims), network(*dims)
    x = torch.rand(17, dims[0], dtype=torch.float64)
    target = torch.rand(17, dims[-1], dtype=torch.float64)
    expected = plain(x)
    loss = ((expected - target) ** 2).sum()
    gradients = torch.autograd.grad(loss, list(plain.parameters()))
    with torch.no_grad():
        stack = LayerStack(ours)
        out = stack.forward(x)
        stack.backward(2 * (out - target))
    torch.testing.assert_close(out, expected.detach())
    torch.testing.assert_close(stack.weights.grad, torch.cat([g.ravel() for g in gradients]))
    for name, buffer in plain.state_dict().items():
        if "running" in name:
            torch.testing.assert_close(ours.state_dict()[name], buffer)


def test_several_networks_in_a_row_and_release():
    encoder, decoder = network(6, 5, 2), network(2, 5, 6)
    before = [p.detach().clone() for p in [*encoder.parameters(), *decoder.parameters()]]
    x = torch.rand(9, 6, dtype=torch.float64)
    with torch.no_grad():
        stack = LayerStack(encoder, decoder)
        torch.testing.assert_close(stack.forward(x), nn.Sequential(encoder, decoder)(x))
        stack.weights += 1
        stack.release()
    for old, new in zip(before, [*encoder.parameters(), *decoder.parameters()], strict=True):
        torch.testing.assert_close(new.detach(), old + 1)
        assert new.untyped_storage().nbytes() == new.numel() * 8  # a file keeps each on its own


def check_gradient(loss_of, output):
    loss, gradient = loss_of(output)
    output = output.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss_of(output)[0], output)
    torch.testing.assert_close(gradient, expected)
    return loss


def test_losses():
    torch.manual_seed(0)
    offset = torch.randn(12, 4, dtype=torch.float64)
    y = (torch.arange(12) < 5).double()
    weight = torch.rand(12, dtype=torch.float64)
    loss = check_gradient(lambda z: _badness(z, y, weight, 0.7), offset)
    d2 = (offset**2).sum(dim=1)
    each = torch.where(y == 0, d2, 0.7 / (d2 + 1e-6))
    torch.testing.assert_close(loss, (weight * each).mean())
    x = torch.rand(12, 4, dtype=torch.float64)
    loss = check_gradient(lambda z: _reconstruction(z, x, y, weight), offset)
    torch.testing.assert_close(loss, (weight[:, None] * (offset.sigmoid() - x) ** 2).mean())
