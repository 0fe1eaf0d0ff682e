# Sourced by the commands beside it: makes .venv on first use, and again when pyproject.toml changes.
# environment EXTRAS: leaves $python pointing into a virtual environment that has vidnoise[EXTRAS].

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
python=$venv/bin/python

fail() {
    echo "vidnoise: $*" >&2
    exit 1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11, 3.12 or 3.13 is missing; install it (Debian: apt-get install python3 python3-venv)"
}

has_nvidia_gpu() {
    [ -e /dev/nvidiactl ] || nvidia-smi -L >/dev/null 2>&1
}

install() {
    local base
    base=$(find_python)
    [ -n "$base" ] || exit 1
    "$base" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "Python's venv module is missing; install it (Debian: apt-get install python3-venv)"
    echo "vidnoise: preparing $venv (once; a few minutes)" >&2
    [ -x "$python" ] || "$base" -m venv "$venv" || fail "cannot make a virtual environment in $venv"
    # A plain version range would fetch CUDA's gigabytes on a machine that has no use for them.
    if ! has_nvidia_gpu && ! "$python" -c 'import torch' 2>/dev/null; then
        pip_install torch==2.13.0
    fi
    pip_install --editable "$root${1:+[$1]}"
    "$python" -c 'import cv2' 2>/dev/null || "$python" -m pip show -q opencv-python-headless 2>/dev/null ||
        fail "OpenCV cannot load; install its libraries (Debian: apt-get install libgl1 libglib2.0-0)"
}

pip_install() {
    local log=$venv/install.log
    "$python" -m pip install --quiet --disable-pip-version-check "$@" >"$log" 2>&1 && return
    grep -v "^WARNING" "$log" | tail -n 5 >&2
    fail "installing $* failed (is the package index reachable?); all of pip's words are in $log"
}

environment() {
    local wanted stamp=$venv/vidnoise-${1:-base}
    wanted=$(cksum <"$root/pyproject.toml")
    if [ -x "$python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    exec 9>"$root/.venv.lock"
    flock 9 2>/dev/null || true
    if ! [ -x "$python" ] || [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]; then
        install "$1"
        echo "$wanted" >"$stamp"
    fi
    exec 9>&-
}
