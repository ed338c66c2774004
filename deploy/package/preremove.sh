#!/bin/sh
# Stops the service when the package is removed. An upgrade restarts it after the new files are there.
set -e
case "$1" in
upgrade | 1) exit 0 ;;
esac
if [ -d /run/systemd/system ]; then
	systemctl disable --now foundation-agent.service
fi
