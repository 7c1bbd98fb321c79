#!/bin/sh
set -eu
test -s /data/born
