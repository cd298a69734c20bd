# Sourced by scripts that leave nothing running behind, however they are ended.
#
# `run COMMAND ...` runs a command and returns its exit status. If the script is interrupted or told to
# end, the command is told, with all that it has started, and waited for. (If the script is killed
# itself, the kernel tells the command, not its children.) What `clean_up` does comes after that.
# shellcheck shell=bash

trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
# Job control gives each command a process group of its own: a Ctrl-C reaches the script alone.
set -m
running=''

run() {
    local status=0
    setpriv --pdeathsig TERM "$@" &
    running=$!
    wait "$running" || status=$?
    running=''
    return "$status"
}

end() {
    local status=$?
    trap '' HUP INT TERM
    if [ -n "$running" ]; then
        kill -TERM -- "-$running" 2>/dev/null || true
        # A script inside needs a while itself: with-servers has six seconds of patience.
        for _ in $(seq 200); do
            kill -0 -- "-$running" 2>/dev/null || break
            sleep 0.1
        done
        kill -KILL -- "-$running" 2>/dev/null || true
    fi
    clean_up
    exit "$status"
}

clean_up() { :; }
