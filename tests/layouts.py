"""What a Foxglove layout asks of its data: a topic for each panel, and fields of its messages."""

import re

_STEP = re.compile(r'\.(\w+)|\[(\d+|:)\]|\{(\w+)=="([^"]*)"\}')


def asked(layout):
    """Yield panel, topic, message path behind the topic, and label, of all that a layout shows."""
    for panel, config in layout["configById"].items():
        for series in config.get("paths", ()):
            topic, path = re.fullmatch(r"(/[\w/]+)(.*)", series["value"]).groups()
            yield panel, topic, path, series["label"]
        for layer in config.get("layers", {}).values():
            if "topic" in layer:
                yield panel, layer["topic"], ".data", layer["label"]
        if image := config.get("imageMode"):
            yield panel, image["imageTopic"], ".encoding", ""
        if topic := config.get("topicToRender"):
            yield panel, topic, ".status[:].name", ""


def values(message, path):
    """Return all that a message path finds in a message."""
    found = [message]
    for name, place, key, wanted in _STEP.findall(path):
        if name:
            found = [getattr(one, name) for one in found]
        elif place == ":":
            found = [inner for one in found for inner in one]
        elif place:
            found = [one[int(place)] for one in found]
        else:
            found = [one for one in found if getattr(one, key) == wanted]
    return found


def faults(layout, messages):
    """Return what a layout asks for and one message of each topic does not give, a line each."""
    out = []
    for panel, topic, path, label in asked(layout):
        try:
            found = values(messages[topic], path)
        except (KeyError, IndexError, AttributeError) as error:
            out.append(f"{panel}: {topic}{path}: {error!r}")
            continue
        if not found:
            out.append(f"{panel}: {topic}{path} finds nothing")
        place = re.fullmatch(
            r"\.position\[(\d+)\]", path
        )  # a number of a JointState: it is the one that its label says
        if place and label.split()[0] != (said := messages[topic].name[int(place[1])]):
            out.append(f"{panel}: {topic}{path} is {said}, not {label}")
    return out
