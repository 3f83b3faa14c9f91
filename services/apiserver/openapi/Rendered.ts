/** An OpenAPI document as it is sent: serialised and hashed once, compressed once, when somebody asks for that. */
import { createHash } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import type { Json } from './schemas.ts'

export class Rendered {
  readonly body: Buffer
  readonly hash: string
  #gzip: Buffer | undefined

  constructor(document: Json) {
    this.body = Buffer.from(JSON.stringify(document))
    this.hash = createHash('sha512').update(this.body).digest('hex').toUpperCase()
  }
  get gzip(): Buffer {
    return (this.#gzip ??= gzipSync(this.body, { level: 6 }))
  }
}
