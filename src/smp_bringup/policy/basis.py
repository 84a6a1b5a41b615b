"""The orthonormal skill basis B (SMP, equation 2): of the state, or one for all states."""

from itertools import pairwise

import torch
from torch import Tensor, nn


def orthonormalise(matrix: Tensor) -> Tensor:
    """Return B (B, d, K) with orthonormal columns that vary smoothly with `matrix` (B, d, K), by thin QR.

    The signs of diag(R) are moved into Q, so that no column flips between neighbouring states.
    """
    q, r = torch.linalg.qr(matrix)
    sign = torch.where(torch.diagonal(r, dim1=-2, dim2=-1) < 0, -1.0, 1.0)
    basis: Tensor = q * sign.unsqueeze(-2)
    return basis


def gram_schmidt(matrix: Tensor) -> Tensor:
    """Return the same as `orthonormalise`, by Gram-Schmidt run twice: only products.

    So it exports to ONNX, and can be captured in a CUDA graph, in which QR cannot. Each column is freed of all before
    it at once, by two products of matrices: a fifth of the operations for eight columns.
    """
    basis = matrix[..., :1] * torch.rsqrt(matrix[..., :1].square().sum(-2, keepdim=True))
    for k in range(1, matrix.shape[-1]):
        v = matrix[..., k : k + 1]
        for _ in range(2):
            v = v - basis @ (basis.transpose(-1, -2) @ v)
        basis = torch.cat([basis, v * torch.rsqrt(v.square().sum(-2, keepdim=True))], dim=-1)
    return basis


def principal_components(actions: Tensor, count: int) -> Tensor:
    """Return the first `count` principal directions (d, K) of actions (N, d)."""
    centred = actions - actions.mean(0)
    vectors: Tensor = torch.linalg.eigh(centred.T @ centred).eigenvectors
    return vectors[:, -count:].flip(1).contiguous()


class Basis(nn.Module):
    """W(s), the unconstrained matrix behind the basis; starts near a fixed orthonormal one."""

    def __init__(self, kind: str, feature: int, hidden: tuple[int, ...], dof: int, experts: int) -> None:
        """Build a basis that is "adaptive", "fixed" (learned, the same everywhere) or "pca" (not learned)."""
        super().__init__()
        self.kind = kind
        start = torch.linalg.qr(torch.randn(dof, experts))[0].contiguous()  # as saved: fused AdamW reads raw memory
        self.start = nn.Parameter(start, requires_grad=kind != "pca")
        if kind == "adaptive":
            layers: list[nn.Module] = []
            for a, b in pairwise((feature, *hidden)):
                layers += [nn.Linear(a, b), nn.GELU()]
            self.net = nn.Sequential(*layers, nn.Linear(hidden[-1], dof * experts))
            with torch.no_grad():
                self.net[-1].weight.mul_(0.1)  # type: ignore[operator]
                self.net[-1].bias.zero_()  # type: ignore[operator]

    def forward(self, feature: Tensor) -> Tensor:
        """Return W (B, d, K)."""
        fixed = self.start.expand(len(feature), -1, -1)
        if self.kind != "adaptive":
            return fixed
        out: Tensor = fixed + self.net(feature).unflatten(1, self.start.shape)
        return out
