"""A camera as data: what its driver sends, what of that the policy sees, and how it is recorded."""

from dataclasses import dataclass, field

import numpy as np

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.names import check_topic, check_word
from smp_bringup.types import ImageArray

COMPRESSED_SUFFIX = "/compressed"
"""End of a topic of compressed images, as image_transport names it."""
_PACKED_DEPTH = "/compressedDepth"


@dataclass(frozen=True)
class Crop:
    """The part of a camera's image that is looked at, in the driver's pixels."""

    x: int = field(metadata=spec(ge=0, le=8191, unit="px"))
    """Of its left column."""
    y: int = field(metadata=spec(ge=0, le=8191, unit="px"))
    """Of its top row."""
    width: int = field(metadata=spec(gt=0, le=8192, unit="px"))
    height: int = field(metadata=spec(gt=0, le=8192, unit="px"))


@dataclass(frozen=True)
class Depth:
    """What a depth camera is believed: whatever lies outside counts as not measured."""

    min: float = field(metadata=spec(ge=0.001, le=65.534, unit="m"))
    max: float = field(metadata=spec(ge=0.002, le=65.535, unit="m"))

    def __post_init__(self) -> None:
        if not self.min < self.max:
            raise ConfigError(f"depth: min {self.min:g} m must be below max {self.max:g} m")


@dataclass(frozen=True)
class Camera:
    """One camera, as its driver publishes it and as the policy sees it."""

    name: str
    topic: str
    """sensor_msgs/CompressedImage (JPEG or PNG) where it ends in /compressed, sensor_msgs/Image otherwise."""
    width: int = field(metadata=spec(gt=0, le=8192, unit="px"))
    height: int = field(metadata=spec(gt=0, le=8192, unit="px"))
    rate_hz: float = field(metadata=spec(ge=0.1, le=1000, unit="Hz"))
    observation_width: int = field(metadata=spec(gt=0, le=1024, unit="px"))
    observation_height: int = field(metadata=spec(gt=0, le=1024, unit="px"))
    latency_s: float = field(default=0.0, metadata=spec(ge=0, le=1, unit="s"))
    """Header stamp minus true exposure time; subtracted by the aligner. `smp calibrate latency` measures it."""
    arm: str = ""
    """Arm that carries it; empty where it stands still and sees all of them."""
    recording: str = field(default="raw", metadata=spec(choices=("raw", "jpeg")))
    """How its images go into bags."""
    jpeg_quality: int = field(default=95, metadata=spec(ge=1, le=100))
    crop: Crop | None = None
    """Taken before the image is resized to what the policy sees; bags keep the whole image."""
    depth: Depth | None = None
    """Of a depth camera, sensor_msgs/Image of 16UC1 [mm] or 32FC1 [m]: what it is believed."""

    def __post_init__(self) -> None:
        check_word("camera", self.name)
        check_topic(self.topic)
        crop = self.crop
        if crop is not None and not (crop.x + crop.width <= self.width and crop.y + crop.height <= self.height):
            raise ConfigError(
                f"camera '{self.name}': crop {crop.width}x{crop.height} at ({crop.x}, {crop.y}) leaves the image of "
                f"{self.width}x{self.height}: give it in the driver's pixels"
            )
        if self.topic.endswith(_PACKED_DEPTH) or (self.depth is not None and self.compressed):
            raise ConfigError(
                f"camera '{self.name}': depth is read raw, 16UC1 or 32FC1: name the topic of the raw images, "
                f"not {self.topic}; compressedDepth and compressed are not read"
            )
        if self.depth is not None and self.recording != "raw":
            raise ConfigError(f"camera '{self.name}': depth is recorded as it comes: leave out recording: jpeg")

    @property
    def compressed(self) -> bool:
        """Whether the driver sends JPEG or PNG."""
        return self.topic.endswith(COMPRESSED_SUFFIX)

    @property
    def raw_topic(self) -> str:
        """Topic of the unpacked images; as in image_transport, packed ones come on it with `COMPRESSED_SUFFIX`."""
        return self.topic.removesuffix(COMPRESSED_SUFFIX)

    @property
    def packed_topic(self) -> str:
        """Topic of the packed images, on which a bag has them whatever the driver sends."""
        return self.raw_topic + COMPRESSED_SUFFIX

    @property
    def info_topic(self) -> str:
        """Topic of the calibration, sensor_msgs/CameraInfo, where the driver gives one: beside the raw images."""
        folder, slash, _ = self.raw_topic.rpartition("/")
        return f"{folder}{slash}camera_info"

    @property
    def view(self) -> list[float]:
        """What a policy sees: height and width [px], and where there is a crop left, top, width, height as shares."""
        whole: list[float] = [self.observation_height, self.observation_width]
        return whole + self._shares()

    @property
    def view_text(self) -> str:
        """The same in words."""
        crop = f", crop {self._shares()}" if self.crop else ""
        depth = f", depth {self.depth.min:g} to {self.depth.max:g} m" if self.depth else ""
        return f"{self.observation_width} x {self.observation_height} px{crop}{depth}"

    def exposes(self, tick: int, period_s: float) -> bool:
        """Return whether a simulated camera takes an image in the period `tick`, counted from 0."""
        images = self.rate_hz * period_s  # in one period; the rounding of a product must not shift one
        return int(np.floor(tick * images + 1e-9)) > int(np.floor((tick - 1) * images + 1e-9))

    def blank(self, height: int, width: int) -> ImageArray:
        """Return an image of its kind that shows nothing: black (height, width, 3), or depth (height, width, 1)."""
        return np.zeros((height, width, 1), np.uint16) if self.depth else np.zeros((height, width, 3), np.uint8)

    def _shares(self) -> list[float]:
        """Return left, top, width, height of the crop as shares of the image: finer images may show the same."""
        if self.crop is None:
            return []
        across, down = self.crop.x / self.width, self.crop.y / self.height
        shares = across, down, self.crop.width / self.width, self.crop.height / self.height
        return [round(share, 3) for share in shares]
