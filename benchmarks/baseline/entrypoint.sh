#!/bin/sh
set -e

mkdir -p /appos/data/redis /appos/data/convex /appos/data/apps /var/log/supervisor /run/nginx

if [ ! -f /appos/data/appos.db ]; then
    sqlite3 /appos/data/appos.db < /app/schema.sql
fi

exec supervisord -c /etc/supervisord.conf
