/** A node's pod addresses, of either family: which range, which gateway, which one next. */
import { addressAt, parseCIDR, prefixLength as lengthOf } from '#events/meta/cidr.ts'
import { type Family, parseIP, textOfIP } from '#events/meta/ip.ts'

export interface PodRange {
  readonly family: Family
  /** Address of the bridge: the first of the range. */
  readonly gateway: string
  readonly prefixLength: number
  /** First and last address for pods, as numbers. */
  readonly first: bigint
  readonly last: bigint
}

/** Leading bits of a range that has room for a gateway and pods, and is not half the world. */
const LENGTHS: Readonly<Record<Family, readonly [number, number]>> = { IPv4: [8, 29], IPv6: [32, 125] }

/** Throws for anything but a network that has room for a gateway and a pod. */
export const parseRange = (cidr: string): PodRange => {
  const network = parseCIDR(cidr)
  const [shortest, longest] = LENGTHS[network?.family ?? 'IPv4']
  if (network === undefined || lengthOf(network) < shortest || lengthOf(network) > longest)
    throw new Error(`${cidr} is no network for pods`)
  const { family, base, size } = network
  // The last address of an IPv4 network is for broadcasts; IPv6 has none.
  return {
    family,
    gateway: addressAt(network, 1),
    prefixLength: lengthOf(network),
    first: base + 2n,
    last: base + size - (family === 'IPv4' ? 2n : 1n)
  }
}

/**
 * The next free address after `after`, going round, so that an address rests for as long as possible before it
 * belongs to another pod. Undefined when all are taken.
 */
export const nextAddress = (range: PodRange, taken: { has(ip: string): boolean }, after: string | undefined): string | undefined => {
  const count = range.last - range.first + 1n
  const last = after === undefined ? undefined : parseIP(after)
  // One that is of no part of the range, of another family even, is no place to go on from.
  const begin =
    last === undefined || last.family !== range.family || last.value < range.first || last.value > range.last
      ? 0n
      : last.value - range.first + 1n
  for (let step = 0n; step < count; step++) {
    const ip = textOfIP({ family: range.family, value: range.first + ((begin + step) % count) })
    if (!taken.has(ip)) return ip
  }
  return undefined
}

/** A locally administered Ethernet address made from the last four bytes: a reused address has the same neighbour entry everywhere. */
export const macOf = (ip: string): string => {
  const value = parseIP(ip)?.value ?? 0n
  return ['0a', '58', ...[24n, 16n, 8n, 0n].map((bit) => ((value >> bit) & 255n).toString(16).padStart(2, '0'))].join(':')
}
