#!/bin/sh
# Copyright 2026 The Hawser Authors
# SPDX-License-Identifier: Apache-2.0
#
# An agent that is no Go program. It reads a text, one line a step, and writes a report
# of how many words each line has. Its state is the report.
#
#   hawser agent run reader --restart on-failure -- sh reader.sh TEXT

set -eu # what fails ends it; who runs it again finds out where it was

text=$1
agent=${HAWSER_AGENT#*/} # without its namespace, which hawser knows
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# number prints the number of the version that hawser has described.
number() {
	sed -n 's/^  "version": \([0-9]*\),$/\1/p' "$work/version"
}

# Where was it? Exit code 3 is: nowhere, this is the first start.
hawser state restore "$agent" -f "$work/report" -o json >"$work/version" || [ $? -eq 3 ]
touch "$work/report"
version=$(number)
line=$(wc -l <"$work/report")
lines=$(wc -l <"$text")
echo "reader: process $$ under $PPID goes on after line $((line)), version ${version:-0}" >&2

while [ "$line" -lt "$lines" ]; do
	line=$((line + 1))
	sleep 0.1 # an agent thinks here
	echo "line $line: $(($(sed -n "${line}p" "$text" | wc -w))) words" >>"$work/report"
	# On top of what it knows, or not at all: a save that an earlier run has left on its
	# way is noticed. The fence is in the environment.
	hawser state save "$agent" -f "$work/report" --expect-version "${version:-0}" --label "line=$line" -o json >"$work/version"
	version=$(number)
done

cat "$work/report"
awk '{ words += $3 } END { print "in all: " words + 0 " words" }' "$work/report"
