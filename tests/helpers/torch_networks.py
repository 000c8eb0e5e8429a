"""Networks as others wrote them in PyTorch: only for tests that have it."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install -e '.[torch]'")


def stack(depth, width, channels, normalised, bias=True, *, given=None, epsilon=1e-5):
    """A plain stack of convolutions; `bias` is for all of them, or one for each."""
    biases = [bias] * depth if isinstance(bias, bool) else bias
    sides = [given or channels, *[width] * (depth - 1), channels]
    layers = []
    for number, (before, after, biased) in enumerate(zip(sides, sides[1:], biases, strict=False)):
        layers.append(torch.nn.Conv2d(before, after, 3, padding=1, bias=biased))
        if normalised and 0 < number < depth - 1:
            norm = torch.nn.BatchNorm2d(width, eps=epsilon)
            torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
            torch.nn.init.normal_(norm.bias)
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.01, 2)
            layers.append(norm)
        layers.append(torch.nn.ReLU())
    return torch.nn.Sequential(*layers[:-1])


class Block(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.res = stack(2, width, width, False, bias=False)

    def forward(self, x):
        return x + self.res(x)


class ResidualUNet(torch.nn.Module):
    """DRUNet, with the names that its authors' code gives."""

    def __init__(self, given, channels, widths, blocks):
        super().__init__()
        self.m_head = torch.nn.Conv2d(given, widths[0], 3, padding=1, bias=False)
        self.scales = range(1, len(widths))
        for scale, (fine, coarse) in enumerate(itertools.pairwise(widths), start=1):
            down = torch.nn.Conv2d(fine, coarse, 2, 2, bias=False)
            up = torch.nn.ConvTranspose2d(coarse, fine, 2, 2, bias=False)
            self.add_module(f"m_down{scale}", torch.nn.Sequential(*(Block(fine) for _ in range(blocks)), down))
            self.add_module(f"m_up{scale}", torch.nn.Sequential(up, *(Block(fine) for _ in range(blocks))))
        body = [Block(widths[-1]) for _ in range(blocks)]
        # The authors' code does not wrap what is alone.
        self.m_body = torch.nn.Sequential(*body) if blocks > 1 else body[0]
        self.m_tail = torch.nn.Conv2d(widths[0], channels, 3, padding=1, bias=False)

    def forward(self, x):
        saved = [self.m_head(x)]
        for scale in self.scales:
            saved.append(getattr(self, f"m_down{scale}")(saved[-1]))
        x = self.m_body(saved[-1])
        for scale in reversed(self.scales):
            x = getattr(self, f"m_up{scale}")(x + saved[scale])
        return self.m_tail(x + saved[0])
