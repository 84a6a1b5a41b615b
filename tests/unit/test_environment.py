"""Whom ROS reaches: this machine alone, unless the user says SUBNET or has settings of their own."""

import xml.etree.ElementTree as ElementTree

import pytest

from smp_bringup import environment
from smp_bringup.environment import RECEIVE_BYTES, network_reach, prepare_environment, small_sockets
from smp_bringup.errors import ConfigError
from smp_bringup.paths import share

RANGE, RMW = "ROS_AUTOMATIC_DISCOVERY_RANGE", "RMW_IMPLEMENTATION"
DDS = "{http://www.eprosima.com}"
PROFILES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")


@pytest.fixture
def prepared(monkeypatch):
    """Return what prepares an environment with these variables and gives range, profiles and the words for it."""
    import os

    def prepare(**given):
        for name in (RANGE, RMW, *PROFILES):
            monkeypatch.setenv(name, "")  # noted: what is prepared goes when the test ends
            monkeypatch.delenv(name)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        prepare_environment()
        again = {name: os.environ.get(name) for name in (RANGE, RMW, *PROFILES)}
        prepare_environment()  # as in the processes that it starts
        assert again == {name: os.environ.get(name) for name in again}
        return os.environ[RANGE], {again[name] for name in PROFILES} - {None}, network_reach()

    return prepare


@pytest.mark.parametrize("given", [{}, {RANGE: ""}, {RANGE: "LOCALHOST"}, {RANGE: "SYSTEM_DEFAULT"}])
def test_by_default_it_is_this_machine_by_our_profile(prepared, given):
    assert prepared(**given) == ("SYSTEM_DEFAULT", {str(share("config", "fastdds.xml"))}, "this machine only")


def test_subnet_opens_the_network_and_keeps_our_shared_memory(prepared):
    network = {str(share("config", "fastdds_network.xml"))}
    assert prepared(**{RANGE: "SUBNET"}) == ("SUBNET", network, "the network (SUBNET)")


def test_subnet_is_followed_where_a_parent_process_has_prepared_for_this_machine(prepared):
    ours = dict.fromkeys(PROFILES, str(share("config", "fastdds.xml")))
    assert prepared(**{RANGE: "SUBNET"}, **ours)[2] == "the network (SUBNET)"


def test_a_profile_of_the_users_own_is_left_alone(prepared):
    reach, profiles, words = prepared(**dict.fromkeys(PROFILES, "/my.xml"))
    assert (reach, profiles) == ("LOCALHOST", {"/my.xml"})
    assert "as your own middleware settings have it" in words


def test_another_middleware_is_told_to_stay_on_this_machine(prepared):
    assert prepared(**{RMW: "rmw_cyclonedds_cpp"})[0] == "LOCALHOST"


@pytest.fixture
def jazzy(monkeypatch, tmp_path):
    """Let Jazzy's Fast DDS 2 be what is installed."""
    (tmp_path / "share/fastrtps").mkdir(parents=True)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))


def test_jazzy_reads_a_profile_in_its_own_words(prepared, jazzy):
    ours = {str(share("config", "fastrtps.xml"))}
    assert prepared() == ("SYSTEM_DEFAULT", ours, "this machine only")
    network = {str(share("config", "fastrtps_network.xml"))}
    assert prepared(**{RANGE: "SUBNET"}) == ("SUBNET", network, "the network (SUBNET)")


@pytest.mark.parametrize("end", [".xml", "_network.xml", "_stop.xml"])
def test_jazzys_profiles_say_the_same(end):
    """Fast DDS refuses a profile for one element that it does not know, and speaks on every interface then."""
    announces = {"fastdds": "flow_controller_descriptor_list", "fastrtps": "throughputController"}
    said = {}
    for name, announcer in announces.items():
        root = ElementTree.parse(share("config", name + end)).getroot()
        (rtps,) = root.iter(f"{DDS}rtps")
        rtps.remove(rtps.find(DDS + announcer))
        said[name] = [(e.tag.removeprefix(DDS), dict(e.attrib), (e.text or "").strip()) for e in root.iter()]
    renamed = {"initial_acknack_delay": "initialAcknackDelay"}
    assert said["fastrtps"] == [(renamed.get(tag, tag), *rest) for tag, *rest in said["fastdds"]]


@pytest.mark.parametrize("domain", ["abc", "-1", "233", "010", "0x10", " 1", "1.0"])
def test_a_domain_that_is_none_is_refused(prepared, domain):
    with pytest.raises(ConfigError, match=f"ROS_DOMAIN_ID is '{domain}': set it to a whole number from 0 to 232"):
        prepared(ROS_DOMAIN_ID=domain)


@pytest.mark.parametrize(("given", "profile"), [({}, "fastdds_stop.xml"), ({RANGE: "SUBNET"}, "fastdds_network.xml")])
def test_who_only_stops_has_no_shared_memory_on_this_machine(prepared, given, profile):
    import os

    prepared(**given)
    prepare_environment(only_stops=True)
    assert os.environ[PROFILES[0]] == str(share("config", profile))
    prepare_environment()  # as a process does that inherits the environment
    assert os.environ[PROFILES[0]] == str(share("config", "fastdds.xml" if not given else profile))


def test_the_profile_of_a_stop_lacks_shared_memory_alone():
    whole, stop = (ElementTree.parse(share("config", name)).getroot() for name in ("fastdds.xml", "fastdds_stop.xml"))
    transports = whole.find(f"{DDS}profiles/{DDS}transport_descriptors")
    transports.remove(transports[0])
    (used,) = whole.iter(f"{DDS}userTransports")
    used.remove(used[0])
    told = [[(e.tag, e.attrib, (e.text or "").strip()) for e in root.iter()] for root in (whole, stop)]
    assert told[0] == told[1]


@pytest.mark.parametrize("name", ["fastdds.xml", "fastdds_network.xml"])
def test_our_profiles_ask_for_sockets_of_the_size_that_is_checked(name):
    tree = ElementTree.parse(share("config", name))
    assert [int(e.text) for e in tree.iter() if e.tag.endswith("receiveBufferSize")] == [RECEIVE_BYTES]


@pytest.mark.parametrize("name", ["fastdds.xml", "fastdds_network.xml"])
def test_a_reader_that_was_just_found_asks_at_once_for_what_it_missed(name):
    """It waits 70 ms otherwise (Fast DDS), and the first press of the emergency stop with it: tools/estop_time.py."""
    (reader,) = ElementTree.parse(share("config", name)).iter(f"{DDS}data_reader")
    delay = reader.find(f"{DDS}times/{DDS}initial_acknack_delay")
    assert reader.get("is_default_profile") == "true"
    assert (delay.findtext(f"{DDS}sec"), int(delay.findtext(f"{DDS}nanosec")) <= 10_000_000) == ("0", True)


@pytest.mark.parametrize(
    ("most", "own_profile", "told"),
    [("212992\n", "", True), ("4194304\n", "", False), ("212992\n", "/my.xml", False), (None, "", False)],
)
def test_a_kernel_whose_sockets_hold_no_image_is_told_with_the_remedy(most, own_profile, told, monkeypatch, tmp_path):
    for name in PROFILES:
        monkeypatch.setenv(name, own_profile)
    monkeypatch.setattr(environment, "_MOST_RECEIVED", tmp_path / "rmem_max")
    if most is not None:
        (tmp_path / "rmem_max").write_text(most)
    assert ("208 KiB" in small_sockets() and "sysctl -w net.core.rmem_max=4194304" in small_sockets()) == told
    assert bool(small_sockets()) == told
