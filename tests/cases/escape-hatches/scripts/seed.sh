#!/bin/sh
set -eu
date -u +%FT%TZ >/data/born
