/** Networks as nodes and their interfaces are given them: parts, gateways, and those that touch. */
import { type Family, type Network, parseIP, parseNetwork, textOfIP } from './ip.ts'

export const bitsOf = (family: Family): number => (family === 'IPv4' ? 32 : 128)

/** A network that an address within it may stand for, as upstream takes them: `10.96.0.1/16` is `10.96.0.0/16`. */
export const parseCIDR = (text: string): Network | undefined => {
  const [address = '', bits = '', ...rest] = text.split('/')
  const ip = parseIP(address)
  if (ip === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bits) || Number(bits) > bitsOf(ip.family)) return undefined
  const size = 1n << BigInt(bitsOf(ip.family) - Number(bits))
  return parseNetwork(`${textOfIP({ family: ip.family, value: (ip.value / size) * size })}/${bits}`)
}

/** Networks of one family that have an address in common. */
export const overlap = (a: Network, b: Network): boolean => a.family === b.family && a.base < b.base + b.size && b.base < a.base + a.size

/** The address so far behind the network's first: 1 is by custom its gateway's. */
export const addressAt = ({ family, base }: Network, offset: number | bigint): string => textOfIP({ family, value: base + BigInt(offset) })

export const prefixLength = ({ text }: Network): number => Number(text.slice(text.indexOf('/') + 1))
