/** A pod may set only kernel parameters that concern nobody but itself. The list grew with the kernel's namespaces. */
import type { Check, CheckPod } from './Check.ts'

const FIRST = [
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_unprivileged_port_start'
]
const SINCE_27 = [...FIRST, 'net.ipv4.ip_local_reserved_ports']
const SINCE_29 = [
  ...SINCE_27,
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes'
]
const SINCE_32 = [...SINCE_29, 'net.ipv4.tcp_rmem', 'net.ipv4.tcp_wmem']

const allowing = (safe: readonly string[]): CheckPod => {
  const names = new Set(safe)
  return ({ spec }) => {
    const unsafe = (spec.securityContext?.sysctls ?? []).map(({ name }) => name ?? '').filter((name) => !names.has(name))
    return unsafe.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: unsafe.join(', ') }
  }
}

export const sysctls: Check = {
  id: 'sysctls',
  level: 'baseline',
  versions: [
    { since: 0, check: allowing(FIRST) },
    { since: 27, check: allowing(SINCE_27) },
    { since: 29, check: allowing(SINCE_29) },
    { since: 32, check: allowing(SINCE_32) }
  ]
}
