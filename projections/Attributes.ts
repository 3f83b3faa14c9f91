/** What is asked for, as far as it is looked at to say whether somebody may. */
export interface Attributes {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly subresource: string
  /** '' for cluster scope. */
  readonly namespace: string
  readonly name: string
  /** Set for non-resource requests. */
  readonly path?: string
}
