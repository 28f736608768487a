#!/bin/sh
# The browser tests open the dashboard in Chromium. Install it where that takes no more than being root on Debian or Ubuntu;
# elsewhere those tests skip and say why.
set -eu
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null 2>&1 && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends chromium; } >/dev/null 2>&1 ||
        echo "Chromium could not be installed; the browser tests will skip"
else
    echo "no Chromium here; the browser tests will skip"
fi
