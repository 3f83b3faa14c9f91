/** What came of a probe or a hook. */

export interface ProbeOutcome {
  readonly ok: boolean
  readonly message: string
}
