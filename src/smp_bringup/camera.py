"""A camera as data: what its driver sends, what of that the policy sees, and how it is recorded."""

from dataclasses import dataclass, field

from smp_bringup.config import spec
from smp_bringup.errors import ConfigError
from smp_bringup.names import check_topic, check_word

COMPRESSED_SUFFIX = "/compressed"
"""End of a topic of compressed images, as image_transport names it."""


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

    def __post_init__(self) -> None:
        check_word("camera", self.name)
        check_topic(self.topic)
        crop = self.crop
        if crop is not None and not (crop.x + crop.width <= self.width and crop.y + crop.height <= self.height):
            raise ConfigError(
                f"camera '{self.name}': crop {crop.width}x{crop.height} at ({crop.x}, {crop.y}) leaves the image of "
                f"{self.width}x{self.height}: give it in the driver's pixels"
            )

    @property
    def compressed(self) -> bool:
        """Whether the driver sends JPEG or PNG."""
        return self.topic.endswith(COMPRESSED_SUFFIX)

    @property
    def raw_topic(self) -> str:
        """Topic of the unpacked images; as in image_transport, packed ones come on it with `COMPRESSED_SUFFIX`."""
        return self.topic.removesuffix(COMPRESSED_SUFFIX)

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
        return f"{self.observation_width} x {self.observation_height} px{crop}"

    def _shares(self) -> list[float]:
        """Return left, top, width, height of the crop as shares of the image: finer images may show the same."""
        if self.crop is None:
            return []
        across, down = self.crop.x / self.width, self.crop.y / self.height
        shares = across, down, self.crop.width / self.width, self.crop.height / self.height
        return [round(share, 3) for share in shares]
