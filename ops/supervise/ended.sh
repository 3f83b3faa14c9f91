#!/bin/sh
# Writes down how a unit's process ended: ExecStopPost, with systemd's word in the environment (systemd.exec(5)).
#   ended.sh FILE
case "${EXIT_CODE:-}" in
  killed | dumped) reason="was killed (${EXIT_STATUS:-?})" ;;
  *) reason="ended with ${EXIT_STATUS:-?}" ;;
esac
{ printf 'reason=%s\nat=%s\n' "$reason" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" >"$1.new" && mv "$1.new" "$1"; } 2>/dev/null
# Nothing of it is a reason not to go on.
exit 0
