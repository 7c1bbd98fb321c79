#!/bin/sh
echo "it's odd" >&2
