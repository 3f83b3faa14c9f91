#!/bin/sh
# Keeps one program running, where there is no systemd that could: a shell, because it must be small and must not fail.
#
#   supervise.sh RUN PAUSES STEADY STEADY_IF_KILLED COMMAND...
#
# RUN: the folder for its lock, its pid and its state. PAUSES: seconds before each start in a row of short lives ("0 0.1 5"), the
# last one repeats. STEADY, STEADY_IF_KILLED: hundredths of a second after which a life was a good one.
# RECKON_ADOPT: a process that runs already, as "pid:start"; it is watched until it ends.
#
# TERM ends it, and the program first. USR1 ends a pause.
#
# Once RUN is gone, or another one, it ends with the program: there is nobody left to run it for, and a new RUN at the same place
# has a supervisor of its own.
set -u
run=$1 pauses=$2 steady=$3 steady_if_killed=$4
shift 4

say() { printf '%s supervisor: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"; }

# The lock goes with its process, whatever ends it; the program must not inherit it.
exec 9>>"$run/supervisor.lock"
flock -n 9 || { say 'another one is at work here'; exit 3; }

# By the lock, which is held open: a file in its place is another one, even with the same number.
lost() { ! [ "$run/supervisor.lock" -ef /proc/self/fd/9 ]; }

restarts=0 reason='' at='' pause='' child='' nap='' woken='' stopping='' short=0

# Whole or not at all; on a full disk the old one stays.
state() {
  lost && return
  { printf 'supervisor=%s\nrestarts=%s\nreason=%s\nat=%s\npause=%s\n' "$$" "$restarts" "$reason" "$at" "$pause" >"$run/supervisor.new" && mv "$run/supervisor.new" "$run/supervisor"; } 2>/dev/null
}

# Hundredths of a second since the machine was started.
now() { read -r up _ </proc/uptime; up=${up%.*}${up#*.}; }

# The start time of a process (proc(5), field 22), empty for one that is gone: a pid alone may be another program's by now.
start_of() {
  began=''
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return
  stat=${stat##*) }
  # shellcheck disable=SC2086
  set -- $stat
  case $1 in Z | X) return ;; esac
  shift 19
  began=$1
}

# Also heard between the decision to pause and the pause: who only interrupts a `wait` is heard by nobody then.
wake() {
  woken=1
  [ -z "$nap" ] || kill "$nap" 2>/dev/null
}
trap 'stopping=1; wake; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM INT
trap wake USR1
trap '' HUP

# Waits for a child until it has really ended: a signal of ours ends a `wait` as well.
wait_for() {
  while :; do
    wait "$1"
    code=$?
    kill -0 "$1" 2>/dev/null || return 0
  done
}

ended() {
  at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  killed=''
  case $code in
    137) reason='was killed (KILL)' killed=1 ;;
    gone) reason='is gone' killed=1 ;;
    *) if [ "$code" -gt 128 ]; then reason="was killed ($(kill -l "$((code - 128))"))"; else reason="ended with $code"; fi ;;
  esac
  now
  limit=$steady
  [ -z "$killed" ] || limit=$steady_if_killed
  if [ "$((up - born))" -ge "$limit" ]; then short=0; else short=$((short + 1)); fi
}

# The pause for so many short lives in a row.
pick() {
  n=0
  for pause in $pauses; do
    [ "$n" -ge "$short" ] && return
    n=$((n + 1))
  done
}

if [ -n "${RECKON_ADOPT:-}" ]; then
  child=${RECKON_ADOPT%%:*} wanted=${RECKON_ADOPT#*:}
  unset RECKON_ADOPT
  now
  born=$up
  state
  start_of "$child"
  [ "$began" != "$wanted" ] || say "process $child goes on, and is started again when it ends"
  while [ -n "$began" ] && [ "$began" = "$wanted" ]; do
    sleep 0.5 9>&- &
    wait $!
    start_of "$child"
  done
  code=gone
else
  code=''
fi

while [ -z "$stopping" ]; do
  if [ -n "$code" ]; then
    child=''
    ended
    lost && break
    pick
    restarts=$((restarts + 1))
    woken=''
    if [ "$pause" = 0 ]; then say "the control plane $reason; it is started again"; else say "the control plane $reason; it is started again in $pause s"; fi
    state
    if [ "$pause" != 0 ]; then
      sleep "$pause" 9>&- &
      nap=$!
      [ -z "$woken$stopping" ] || wake
      wait "$nap"
      nap=''
    fi
    pause=''
    [ -z "$stopping" ] || break
    lost && break
  fi
  now
  born=$up
  "$@" 9>&- &
  child=$!
  state
  # A word that came while it was being started.
  [ -z "$stopping" ] || kill -TERM "$child" 2>/dev/null
  wait_for "$child"
done
if lost; then say "$run is gone, or another one: the control plane is not started again"; else rm -f "$run/supervisor"; fi
