/** A bounds-checked reader of the protobuf wire format (proto2, no groups). */

/** The bytes are not what they claim to be; the request is answered 400. */
export class ProtobufError extends Error {
  override readonly name = 'ProtobufError'
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Low and high 32 bits of a varint. */
  #varint(): [low: number, high: number] {
    let low = 0
    let high = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw new ProtobufError('unexpected EOF')
      const bits = byte & 0x7f
      if (shift < 28) low |= bits << shift
      else if (shift === 28) {
        low |= bits << 28
        high |= bits >> 4
      } else high |= bits << (shift - 32)
      if (byte < 0x80) return [low >>> 0, high >>> 0]
    }
    throw new ProtobufError('integer overflow')
  }

  /** Field number and wire type. */
  tag(): [field: number, wireType: number] {
    const [low] = this.#varint()
    const field = low >>> 3
    if (field === 0) throw new ProtobufError(`illegal tag ${field} (wire type ${low & 7})`)
    return [field, low & 7]
  }

  /** A signed 64-bit integer; beyond 2^53 it is rounded, as JSON numbers are. */
  int64(): number {
    const [low, high] = this.#varint()
    return high >>> 31 === 0 ? high * 2 ** 32 + low : Number(BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low)))
  }

  int32(): number {
    return this.#varint()[0] | 0
  }

  bool(): boolean {
    const [low, high] = this.#varint()
    return low !== 0 || high !== 0
  }

  double(): number {
    if (this.#at + 8 > this.#bytes.length) throw new ProtobufError('unexpected EOF')
    const value = this.#view.getFloat64(this.#at, true)
    this.#at += 8
    return value
  }

  /** A length-delimited value, not copied. */
  bytes(): Uint8Array {
    const [length, high] = this.#varint()
    const end = this.#at + length
    if (high !== 0 || end > this.#bytes.length) throw new ProtobufError('unexpected EOF')
    const value = this.#bytes.subarray(this.#at, end)
    this.#at = end
    return value
  }

  string(): string {
    const value = this.bytes()
    try {
      return utf8.decode(value)
    } catch {
      throw new ProtobufError('string is not valid UTF-8')
    }
  }

  skip(wireType: number): void {
    switch (wireType) {
      case 0:
        this.#varint()
        return
      case 1:
        this.#at += 8
        break
      case 2:
        this.bytes()
        return
      case 5:
        this.#at += 4
        break
      default:
        throw new ProtobufError(`illegal wireType ${wireType}`)
    }
    if (this.#at > this.#bytes.length) throw new ProtobufError('unexpected EOF')
  }
}
