"""The state-adaptive orthonormal skill basis B(s) (SMP, equation 2)."""

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
    """Return the same as `orthonormalise`, by Gram-Schmidt run twice: only products, so that it exports to ONNX."""
    columns: list[Tensor] = []
    for k in range(matrix.shape[-1]):
        v = matrix[..., k]
        for _ in range(2):
            for other in columns:
                v = v - (other * v).sum(-1, keepdim=True) * other
        columns.append(v / torch.linalg.vector_norm(v, dim=-1, keepdim=True))
    return torch.stack(columns, dim=-1)


class Basis(nn.Module):
    """W(s), the unconstrained matrix behind the basis; starts near a fixed orthonormal one."""

    def __init__(self, feature: int, dof: int, experts: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(feature, feature), nn.GELU(), nn.Linear(feature, dof * experts))
        self.shape = (dof, experts)
        start = torch.linalg.qr(torch.randn(dof, experts))[0]
        last = self.net[-1]
        with torch.no_grad():
            last.weight.mul_(0.1)  # type: ignore[operator]
            last.bias.copy_(start.flatten())  # type: ignore[operator]

    def forward(self, feature: Tensor) -> Tensor:
        """Return W (B, d, K)."""
        out: Tensor = self.net(feature).unflatten(1, self.shape)
        return out
