#!/bin/bash
# A few rounds of long_kill8.sh.
ROUNDS=3 LONGEST=1 exec bash "$(dirname "$0")/long_kill8.sh"
