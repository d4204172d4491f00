#!/bin/bash
# healthz.sh PART [SECONDS]: ends with 0 if a part on this machine or in this container works. PART: worker, worker-eu, beat,
# exporter. It starts no Python, which takes half a second of CPU at each probe.
# With GAUGEPOST_METRICS_PORT it asks the part's own /healthz. Without one it looks whether a heartbeat file in GAUGEPOST_RUN_DIR
# is younger than SECONDS (60): so a worker whose Redis is away counts as not well, other than in `gaugepost health`.
set -u
part=$1 seconds=${2:-60}

ask() {
  exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3
  answer=$(timeout 8 cat <&3)
  printf '%s\n' "${answer##*$'\n'}"
  [[ $answer == 'HTTP/1.'?' 200 '* ]]
}

if [[ -n ${GAUGEPOST_METRICS_PORT:-} ]]; then
  ask "$GAUGEPOST_METRICS_PORT"
else
  folder=${GAUGEPOST_RUN_DIR:-${TMPDIR:-/tmp}/gaugepost-$(id -u)}
  [[ -n $(find "$folder" -name "$part*" -newermt "-$seconds seconds" -print -quit) ]]
fi
