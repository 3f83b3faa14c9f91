/** A node's pod addresses: which range, which gateway, which one next. */

export interface PodRange {
  /** Address of the bridge: the first of the range. */
  readonly gateway: string
  readonly prefixLength: number
  /** First and last address for pods, as numbers. */
  readonly first: number
  readonly last: number
}

const toNumber = (ip: string): number => ip.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0)
const toAddress = (value: number): string => [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')

/** Throws for anything but an IPv4 network that has room for a gateway and a pod. */
export const parseRange = (cidr: string): PodRange => {
  const [, ip, length] = /^((?:\d{1,3}\.){3}\d{1,3})\/(\d{1,2})$/.exec(cidr) ?? []
  const prefixLength = Number(length)
  if (ip === undefined || ip.split('.').some((byte) => Number(byte) > 255) || prefixLength > 29 || prefixLength < 8) throw new Error(`${cidr} is no network for pods`)
  const size = 2 ** (32 - prefixLength)
  const network = Math.floor(toNumber(ip) / size) * size
  return { gateway: toAddress(network + 1), prefixLength, first: network + 2, last: network + size - 2 }
}

/**
 * The next free address after `after`, going round, so that an address rests for as long as possible before it
 * belongs to another pod. Undefined when all are taken.
 */
export const nextAddress = (range: PodRange, taken: { has(ip: string): boolean }, after: string | undefined): string | undefined => {
  const count = range.last - range.first + 1
  const begin = after === undefined ? 0 : toNumber(after) - range.first + 1
  for (let step = 0; step < count; step++) {
    const ip = toAddress(range.first + ((((begin + step) % count) + count) % count))
    if (!taken.has(ip)) return ip
  }
  return undefined
}

/** A locally administered Ethernet address made from the IPv4 one: a reused address has the same neighbour entry everywhere. */
export const macOf = (ip: string): string => ['0a', '58', ...ip.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))].join(':')
