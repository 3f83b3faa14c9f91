/** Parts of a network for nodes: which are taken, and which is free. Plain. */
import { bitsOf, parseCIDR } from '#events/meta/cidr.ts'
import { textOfIP, type Network } from '#events/meta/ip.ts'

/**
 * The first part of that mask which touches none of what is taken; undefined when there is none. Nodes may have parts of other sizes:
 * a mask that was changed, or a range that a person gave.
 */
export const freePart = (network: Network, mask: number, taken: readonly Network[]): string | undefined => {
  const size = 1n << BigInt(bitsOf(network.family) - mask)
  const end = network.base + network.size
  const others = taken
    .filter(({ family, base, size: length }) => family === network.family && base < end && base + length > network.base)
    .toSorted((a, b) => (a.base < b.base ? -1 : 1))
  let base = network.base
  for (const other of others) {
    if (base + size <= other.base) break
    const after = other.base + other.size
    if (after > base) base = network.base + ((after - network.base + size - 1n) / size) * size
  }
  return base + size <= end ? `${textOfIP({ family: network.family, value: base })}/${mask}` : undefined
}

/** Those of the texts that are networks. */
export const networksOf = (texts: readonly string[]): readonly Network[] =>
  texts.flatMap((text) => {
    const network = parseCIDR(text)
    return network === undefined ? [] : [network]
  })
