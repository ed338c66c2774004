#!/bin/sh
# Creates the service's user and starts the service, where systemd runs.
set -e
if command -v systemd-sysusers > /dev/null; then
	systemd-sysusers foundation-agent.conf
elif ! getent passwd foundation-agent > /dev/null; then
	useradd --system --home-dir /var/lib/foundation-agent --shell /usr/sbin/nologin foundation-agent
fi
chgrp foundation-agent /etc/foundation-agent/environment
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	systemctl enable foundation-agent.service
	systemctl restart foundation-agent.service
fi
