"""The parts of one observation joined by their identical stamp (they travel as one message each)."""

from collections.abc import Mapping

from smp_bringup.types import AlignedSet, FloatArray, ImageArray, JointSample

_OPEN = 8
"""Stamps that may be incomplete at a time; the oldest goes first."""


class Assembler:
    """Collects images, joints and vectors until all parts of a stamp are there."""

    def __init__(self, cameras: tuple[str, ...], vectors: bool = False) -> None:
        """Wait for these cameras, for the joints, and for the vectors if they are seen."""
        self._cameras, self._with_vectors = frozenset(cameras), vectors
        self._images: dict[int, dict[str, ImageArray]] = {}
        self._joints: dict[int, JointSample] = {}
        self._vectors: dict[int, Mapping[str, FloatArray]] = {}
        self.incomplete = 0
        """Stamps given up because a part never came."""

    def push_image(self, camera: str, stamp_ns: int, image: ImageArray) -> AlignedSet | None:
        """Take one image (h, w, C); return the set if it is now complete."""
        if camera in self._cameras:
            self._images.setdefault(stamp_ns, {})[camera] = image
        return self._complete(stamp_ns)

    def push_joints(self, sample: JointSample) -> AlignedSet | None:
        """Take the joints of all arms; return the set if it is now complete."""
        self._joints[sample.stamp_ns] = sample
        return self._complete(sample.stamp_ns)

    def push_vectors(self, stamp_ns: int, vectors: Mapping[str, FloatArray]) -> AlignedSet | None:
        """Take all vectors (n,) by name; return the set if it is now complete."""
        self._vectors[stamp_ns] = vectors
        return self._complete(stamp_ns)

    def _complete(self, stamp_ns: int) -> AlignedSet | None:
        images, joints = self._images.get(stamp_ns, {}), self._joints.get(stamp_ns)
        vectors = self._vectors.get(stamp_ns)
        if joints is None or self._cameras - images.keys() or (self._with_vectors and vectors is None):
            self._bound()
            return None
        self._forget(stamp_ns)
        return AlignedSet(stamp_ns, images, joints.position, joints.velocity, vectors=vectors or {})

    def _forget(self, stamp_ns: int) -> None:
        self._images.pop(stamp_ns, None)
        self._joints.pop(stamp_ns, None)
        self._vectors.pop(stamp_ns, None)

    def _bound(self) -> None:
        stamps = sorted(self._images.keys() | self._joints.keys() | self._vectors.keys())
        for stamp in stamps[:-_OPEN]:
            self._forget(stamp)
            self.incomplete += 1
