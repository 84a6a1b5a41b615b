"""The parts of one observation joined by their identical stamp (they travel as one message each)."""

from smp_bringup.types import AlignedSet, ImageArray, JointSample

_OPEN = 8
"""Stamps that may be incomplete at a time; the oldest goes first."""


class Assembler:
    """Collects images and joints until all parts of a stamp are there."""

    def __init__(self, cameras: tuple[str, ...]) -> None:
        self._cameras = frozenset(cameras)
        self._images: dict[int, dict[str, ImageArray]] = {}
        self._joints: dict[int, JointSample] = {}
        self.incomplete = 0
        """Stamps given up because a part never came."""

    def push_image(self, camera: str, stamp_ns: int, image: ImageArray) -> AlignedSet | None:
        """Take one image (h, w, 3); return the set if it is now complete."""
        if camera in self._cameras:
            self._images.setdefault(stamp_ns, {})[camera] = image
        return self._complete(stamp_ns)

    def push_joints(self, sample: JointSample) -> AlignedSet | None:
        """Take the joints of all arms; return the set if it is now complete."""
        self._joints[sample.stamp_ns] = sample
        return self._complete(sample.stamp_ns)

    def _complete(self, stamp_ns: int) -> AlignedSet | None:
        images, joints = self._images.get(stamp_ns, {}), self._joints.get(stamp_ns)
        if joints is None or self._cameras - images.keys():
            self._bound()
            return None
        del self._joints[stamp_ns]
        self._images.pop(stamp_ns, None)
        return AlignedSet(stamp_ns, images, joints.position, joints.velocity)

    def _bound(self) -> None:
        stamps = sorted(self._images.keys() | self._joints.keys())
        for stamp in stamps[:-_OPEN]:
            self._images.pop(stamp, None)
            self._joints.pop(stamp, None)
            self.incomplete += 1
