#!/bin/sh
# ping.sh URL_FILE [OPTION…]: end with 0 if the Redis of this host answers and has loaded its data. OPTIONs are redis-cli's.
set -eu
url=$(cat "$1")
shift
password=${url#*://*:}
export REDISCLI_AUTH="${password%@*}"
[ "$(redis-cli "$@" ping)" = PONG ]
