/** IP addresses and networks of both families, as numbers and as text; parsed strictly, printed canonically (RFC 5952). */
import ipaddr from 'ipaddr.js'

export type Family = 'IPv4' | 'IPv6'

export interface IP {
  readonly family: Family
  readonly value: bigint
}

export interface Network {
  readonly family: Family
  /** The first address in it. */
  readonly base: bigint
  /** How many addresses are in it. */
  readonly size: bigint
  /** `10.96.0.0/16`: canonical. */
  readonly text: string
}

const BITS: Readonly<Record<Family, number>> = { IPv4: 32, IPv6: 128 }

const parsed = (text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined => {
  // The library also takes octal, hexadecimal and shortened IPv4, and zones: not addresses here.
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text)
  return text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text) ? ipaddr.IPv6.parse(text) : undefined
}

const numberOf = (bytes: readonly number[]): bigint => bytes.reduce((value, byte) => value * 256n + BigInt(byte), 0n)

export const parseIP = (text: string): IP | undefined => {
  const address = parsed(text)
  return address === undefined ? undefined : { family: address.kind() === 'ipv4' ? 'IPv4' : 'IPv6', value: numberOf(address.toByteArray()) }
}

export const textOfIP = ({ family, value }: IP): string => {
  const bytes: number[] = []
  for (let bit = BITS[family] - 8; bit >= 0; bit -= 8) bytes.push(Number((value >> BigInt(bit)) & 255n))
  const address = ipaddr.fromByteArray(bytes)
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
}

/** The one text of an address; undefined for what is none. */
export const canonicalIP = (text: string): string | undefined => {
  const ip = parseIP(text)
  return ip === undefined ? undefined : textOfIP(ip)
}

/** Undefined for what is no network, an address within one included: `10.96.0.1/16`. */
export const parseNetwork = (text: string): Network | undefined => {
  const [address = '', bits = '', ...rest] = text.split('/')
  const ip = parseIP(address)
  if (ip === undefined || rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(bits) || Number(bits) > BITS[ip.family]) return undefined
  const size = 1n << BigInt(BITS[ip.family] - Number(bits))
  return ip.value % size === 0n ? { family: ip.family, base: ip.value, size, text: `${textOfIP(ip)}/${bits}` } : undefined
}

export const isWithin = ({ family, value }: IP, network: Network): boolean =>
  family === network.family && value >= network.base && value < network.base + network.size

/** The network's own address belongs to nobody, nor does the broadcast address of IPv4. */
export const isHost = (ip: IP, network: Network): boolean =>
  isWithin(ip, network) && ip.value !== network.base && (network.family === 'IPv6' || ip.value !== network.base + network.size - 1n)
