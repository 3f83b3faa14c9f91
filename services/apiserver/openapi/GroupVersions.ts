/**
 * The v3 documents of group versions, each kept for as long as the very kinds it was made of are served together. A definition that
 * changes makes a new API, and everything about that API is made anew when it is asked for; of hundreds of documents all but one say
 * what they said before. So they are known by their kinds, which are the same values in both APIs where nothing changed, and not by
 * the API: upstream keeps a cached document per group version for the same reason (kube-openapi's handler3). By content would do as
 * well, but what is compared would have to be rendered first.
 */
import { openapiV3 } from './documents.ts'
import { Rendered } from './Rendered.ts'
import type { OpenApiKind } from './schemas.ts'

export class GroupVersions {
  readonly #serverVersion: string
  readonly #render: typeof openapiV3
  /** By the first of its kinds; gone with it. One each: what was served before is kept by who still shows it. */
  readonly #made = new WeakMap<OpenApiKind, { readonly kinds: readonly OpenApiKind[]; readonly document: Rendered }>()

  /** @param serverVersion `v1.33.0`, the gitVersion of `/version` */
  constructor(serverVersion: string, render: typeof openapiV3 = openapiV3) {
    this.#serverVersion = serverVersion
    this.#render = render
  }
  get serverVersion(): string {
    return this.#serverVersion
  }
  /** The document of one group version, out of all kinds that are served; undefined when none is in it. */
  document(all: readonly OpenApiKind[], group: string, version: string): Rendered | undefined {
    const kinds = all.filter((kind) => kind.group === group && kind.version === version)
    const [first] = kinds
    if (first === undefined) return undefined
    const known = this.#made.get(first)
    if (known !== undefined && known.kinds.length === kinds.length && kinds.every((kind, n) => kind === known.kinds[n]))
      return known.document
    const document = new Rendered(this.#render(kinds, group, version, this.#serverVersion) ?? {})
    this.#made.set(first, { kinds, document })
    return document
  }
}
