#!/bin/sh
# What `make setup` needs from the system, said in one line each; GL libraries are installed where that is allowed.
python=$1
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "setup: Python 3.11 or newer is needed, '$python' is not: run make PYTHON=/path/to/python3.11" >&2; exit 2; }
"$python" -c 'import venv, ensurepip' 2>/dev/null || {
  echo "setup: the venv module is missing: apt-get install python3-venv" >&2; exit 2; }
"$python" -c 'import ctypes; ctypes.CDLL("libEGL.so.1")' 2>/dev/null && exit 0
if [ "$(id -u)" = 0 ]; then as_root=""; elif sudo -n true 2>/dev/null; then as_root="sudo"; else
  echo "setup: libEGL is missing, rendering will fail: sudo apt-get install libegl1 libgl1-mesa-dri" >&2; exit 0; fi
command -v apt-get >/dev/null || {
  echo "setup: libEGL is missing, rendering will fail: install libEGL and Mesa's llvmpipe" >&2; exit 0; }
echo "setup: installing libegl1 and libgl1-mesa-dri"
$as_root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq libegl1 libgl1-mesa-dri >/dev/null ||
  echo "setup: could not install them, rendering will fail: apt-get install libegl1 libgl1-mesa-dri" >&2
