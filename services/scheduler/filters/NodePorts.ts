/** Keeps two pods that want one host port apart. */
import type { Filter, Refusal } from '#services/scheduler/plugin.ts'

const ANY = '0.0.0.0'
const TAKEN: Refusal = { reasons: ["node(s) didn't have free ports for the requested pod ports"], unresolvable: false }

const clash = (a: string, b: string): boolean => {
  const [protocol, ip, port] = a.split('/')
  const [otherProtocol, otherIp, otherPort] = b.split('/')
  return protocol === otherProtocol && port === otherPort && (ip === otherIp || ip === ANY || otherIp === ANY)
}

export const NodePorts: Filter<readonly string[]> = {
  name: 'NodePorts',
  prepare: ({ info }) => (info.ports.length === 0 ? undefined : info.ports),
  filter: (ports, _, node) => {
    for (const pod of node.pods.values())
      if (pod.ports.length > 0 && pod.ports.some((taken) => ports.some((wanted) => clash(taken, wanted)))) return TAKEN
    return undefined
  }
}
