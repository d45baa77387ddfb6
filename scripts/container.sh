#!/bin/sh
# Entry point of the image: runs api, worker, migrate, provision or emulators with its arguments.
# `exec` makes Node the container's first process, which receives the signals.
set -eu
cd "$(dirname "$0")/.."

name=${1:-api}
[ $# -eq 0 ] || shift
case $name in
  # docs/operating.md, "Processes", explains the flags.
  api) exec node --enable-source-maps --max-semi-space-size=6 --max-old-space-size=768 dist/apps/api/src/main.js "$@" ;;
  worker)
    export MALLOC_TRIM_THRESHOLD_=33554432 MALLOC_TOP_PAD_=1048576
    exec node --enable-source-maps --max-semi-space-size=2 --max-old-space-size=256 dist/apps/worker/src/main.js "$@"
    ;;
  emulators) exec node --enable-source-maps --max-semi-space-size=2 dist/apps/local/src/emulators.js "$@" ;;
  migrate) exec node scripts/migrate.ts "$@" ;;
  provision) exec node scripts/provision.ts "$@" ;;
  *)
    echo "Unknown command $name: use api, worker, migrate, provision or emulators" >&2
    exit 64
    ;;
esac
