#!/bin/sh
# Installs one set of locked packages into /opt/venv, in a build stage:
#   install.sh lock NAME      everything in requirements/NAME.txt, each file checked against its hash
#   install.sh torch cpu|cuda the pinned torch; its hash differs by build, so it is not in a lock
#   install.sh project        the `tokenmill` command, pointing at /opt/tokenmill
# The site's settings are in /site (see images/site/README.md).
set -eu
cd "$(dirname "$0")/.."

[ ! -f /site/uv.toml ] || export UV_CONFIG_FILE=/site/uv.toml
[ ! -f /site/pip.conf ] || export PIP_CONFIG_FILE=/site/pip.conf
export UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_HTTP_TIMEOUT=180 UV_SYSTEM_CERTS=1 DS_BUILD_OPS=0
uv="/opt/uv/bin/uv"

case "$1" in
lock)
    [ -x /opt/venv/bin/python ] || $uv venv --quiet --python "$(command -v python3)" /opt/venv
    $uv pip install --quiet --python /opt/venv --no-deps --require-hashes \
        --build-constraints requirements/build.txt -r "requirements/$2.txt"
    ;;
torch)
    pin=$(grep '^torch==' requirements/torch.txt)
    if [ "$2" = cuda ]; then # with NVIDIA's libraries, which torch's metadata pins
        exec $uv pip install --quiet --python /opt/venv --constraints requirements/trainer.txt "$pin"
    fi
    if ls /site/wheels/torch-*+cpu-*.whl >/dev/null 2>&1; then
        exec $uv pip install --quiet --python /opt/venv --no-deps --no-index --find-links /site/wheels "$pin+cpu"
    fi
    exec $uv pip install --quiet --python /opt/venv --no-deps --torch-backend cpu "$pin"
    ;;
project)
    exec $uv pip install --quiet --python /opt/venv --no-deps --build-constraints requirements/build.txt \
        --editable /opt/tokenmill
    ;;
*)
    echo "install.sh: unknown set $1" >&2
    exit 64
    ;;
esac
