/** A ledger for who reads the log beside the one that keeps it: what is remembered is compared with, and nothing is noted. */
import type { Ledger } from './Ledger.ts'

export const watching = (ledger: Ledger): Ledger => {
  const head = ledger.head()
  const marks = [...ledger.marks()]
  return {
    stream: ledger.stream,
    identity: ledger.identity,
    head: () => head,
    marks: () => marks,
    floors: () => ledger.floors(),
    damage: () => ledger.damage(),
    remember: () => {},
    mark: () => {},
    report: () => {}
  }
}
