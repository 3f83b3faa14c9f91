/**
 * Which API server does a node's part: rendezvous hashing, so that one that comes or goes moves no node between the others. Plain
 * functions.
 */

import { fnv1a } from '#events/meta/hash.ts'

/** 32-bit FNV-1a with murmur3's finalizer: the last characters, in which names of nodes differ, reach every bit. */
const weightOf = (text: string): number => {
  let value = fnv1a(text)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}

/** The member whose hash with the node is highest; the same for everybody who knows the same members, in whatever order. */
export const ownerOf = (node: string, members: readonly string[]): string | undefined => {
  let owner: string | undefined
  let highest = -1
  for (const member of members) {
    const weight = weightOf(`${member} ${node}`)
    if (weight < highest || (weight === highest && member > (owner as string))) continue
    ;[owner, highest] = [member, weight]
  }
  return owner
}
