"""Images as the driver of a camera sends them; apart from the other messages, for it needs an image library."""

from array import array

from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from smp_bringup.bag.images import JPEG, jpeg
from smp_bringup.camera import Camera
from smp_bringup.nodes.messages import image_msg, time_msg
from smp_bringup.types import ImageArray


def camera_type(camera: Camera) -> type[Image] | type[CompressedImage]:
    """Return the type of a camera's messages."""
    return CompressedImage if camera.compressed else Image


def camera_msg(camera: Camera, at_ns: int, image: ImageArray) -> Image | CompressedImage:
    """Return an image (H, W, 3) as the camera's driver sends it; where that is compressed, as JPEG."""
    if not camera.compressed:
        return image_msg(at_ns, camera.name, image)
    data = array("B", jpeg(image, camera.jpeg_quality))
    return CompressedImage(header=Header(stamp=time_msg(at_ns), frame_id=camera.name), format=JPEG, data=data)
