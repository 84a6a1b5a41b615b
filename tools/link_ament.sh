#!/bin/sh
# An editable install places no data files: link them, so that AMENT_PREFIX_PATH=.venv serves `ros2 launch` too.
venv=$1
here=$(pwd)
index=$venv/share/ament_index/resource_index/packages
share=$venv/share/smp_bringup
lib=$venv/lib/smp_bringup
mkdir -p "$index" "$share" "$lib"
cp resource/smp_bringup "$index/smp_bringup"
for name in package.xml config models; do ln -sfn "$here/$name" "$share/$name"; done
rm -rf "$share/launch" && mkdir "$share/launch"  # a folder of links: `ros2 launch` follows no link to a folder
for file in launch/*.launch.py; do ln -s "$here/$file" "$share/launch/"; done
for node in resource/bin/*; do cp "$node" "$lib/"; done
