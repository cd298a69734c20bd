# Sourced by scripts that need packages of Debian's.
#
# `install_packages PACKAGE ...` installs them, or names them where it cannot.
# shellcheck shell=bash

install_packages() {
    [ $# -gt 0 ] || return 0
    command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ] || {
        echo "please install: $*" >&2
        return 1
    }
    echo "installing $*" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        -o Dpkg::Options::=--force-confold "$@"; } >&2
}
