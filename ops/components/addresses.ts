/** Addresses of a node that follow from its configuration. */
import { addressAt, parseCIDR } from '#events/meta/cidr.ts'
import type { ClusterConfig } from '#ops/home.ts'

/** Where the node's DNS listens, below the Service's port 53; clusters side by side differ in the address. */
export const DNS_PORT = 10053

/** The bridge's address, the first of the node's pod network: how pods reach their node. */
export const bridgeAddress = ({ nodePodCIDR }: Pick<ClusterConfig, 'nodePodCIDR'>): string => {
  const range = parseCIDR(nodePodCIDR)
  if (range === undefined) throw new Error(`"${nodePodCIDR}" is no network for pods`)
  return addressAt(range, 1)
}
