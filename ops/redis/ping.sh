#!/bin/sh
# ping.sh URL_FILE [OPTION…]: whether the Redis of this host answers, and has read its file; options are redis-cli's.
set -eu
url=$(cat "$1")
shift
password=${url#*://*:}
export REDISCLI_AUTH="${password%@*}"
[ "$(redis-cli "$@" ping)" = PONG ]
