#!/bin/sh
# The Swift sources that are written by hand, one a line.
cd "$(dirname "$0")/.." && git ls-files --cached --others --exclude-standard '*.swift' | grep -v '/Generated/'
