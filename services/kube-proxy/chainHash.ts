/** The hash behind the proxy's chain names: SHA-256 as letters and digits. */
import { createHash } from 'node:crypto'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const LENGTH = 16

export const chainHash = (text: string): string =>
  Array.from(createHash('sha256').update(text).digest().subarray(0, LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('')
