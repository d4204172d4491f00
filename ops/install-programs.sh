#!/bin/sh
# install-programs.sh: install the programs of system-programs.txt that this machine lacks, if this user is root and has
# apt. Otherwise it does nothing, and the tests that need a missing program are skipped.
set -eu
packages=
while read -r program package _; do
  case $program in '' | '#'*) continue ;; esac
  command -v "$program" >/dev/null && continue
  case "$packages " in *" $package "*) ;; *) packages="$packages $package" ;; esac
done <"$(dirname "$0")/system-programs.txt"
[ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0

echo "the tests need programs that this machine lacks; apt-get installs:$packages" >&2
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then # the tests start their own servers: those of the packages must not start
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod +x $policy
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >&2 || true # one source may be unreachable while another has the packages
# shellcheck disable=SC2086 # a word for each package
apt-get install -y -qq --no-install-recommends $packages >/dev/null || echo "apt-get failed; the tests that need one of these programs skip" >&2
