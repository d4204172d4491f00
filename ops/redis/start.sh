#!/bin/sh
# start.sh CONF URL_FILE [OPTION…]: start redis-server with CONF and the password of the redis:// URL in URL_FILE, which
# gaugepost's parts read too. The password goes over stdin: every user of the machine can read arguments.
set -eu
conf=$1 url=$(cat "$2")
shift 2
password=${url#*://*:}
password=${password%@*}
case $password in
  '' | "$url" | *[!A-Za-z0-9._~-]*) echo "start.sh: expected redis://:PASSWORD@HOST:6379/0, PASSWORD of letters and digits" >&2; exit 1 ;;
esac
exec redis-server "$conf" "$@" - <<EOF
requirepass $password
EOF
