"""What a graph says to who asks: its errors, and where it was sought."""

from smp_bringup.errors import SmpError

WHERE = "is a graph running, in this namespace, ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE?"


class GraphError(SmpError):
    """The graph does not answer, or refuses."""


class Refused(GraphError):
    """A service was asked, and says no; the message is "service: answer"."""

    @property
    def answer(self) -> str:
        """What the service said."""
        return str(self).partition(": ")[2]
