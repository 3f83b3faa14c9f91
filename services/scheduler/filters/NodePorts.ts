/** Keeps two pods that want one host port apart. */
import type { Filter } from '../plugin.ts'

const ANY = '0.0.0.0'

const clash = (a: string, b: string): boolean => {
  const [protocol, ip, port] = a.split('/')
  const [otherProtocol, otherIp, otherPort] = b.split('/')
  return protocol === otherProtocol && port === otherPort && (ip === otherIp || ip === ANY || otherIp === ANY)
}

export const NodePorts: Filter = {
  name: 'NodePorts',
  filter: ({ ports }, node) => {
    if (ports.length === 0) return undefined
    for (const pod of node.pods.values()) if (pod.ports.some((taken) => ports.some((wanted) => clash(taken, wanted)))) return "node(s) didn't have free ports for the requested pod ports"
    return undefined
  }
}
