/**
 * Compares patches with upstream's own libraries on random objects: `npm run check-patches [-- --seed N --count N --kind K --golden F]`.
 * What differs is printed with its seed; it ends with 1 when anything does.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Maker, type Json, type KindName } from './cases.ts'
import { compareCase, compareCorner, type Agreed, type Compared, type Difference } from './compare.ts'
import { CORNERS } from './corners.ts'
import { Oracle } from './Oracle.ts'

const KINDS: readonly KindName[] = [
  { group: 'apps', version: 'v1', kind: 'Deployment' },
  { group: '', version: 'v1', kind: 'Pod' },
  { group: '', version: 'v1', kind: 'Service' },
  { group: '', version: 'v1', kind: 'Node' },
  { group: '', version: 'v1', kind: 'ConfigMap' },
  { group: '', version: 'v1', kind: 'ServiceAccount' },
  { group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'ClusterRole' },
  { group: 'rbac.authorization.k8s.io', version: 'v1', kind: 'RoleBinding' },
  { group: 'coordination.k8s.io', version: 'v1', kind: 'Lease' },
  { group: 'networking.k8s.io', version: 'v1', kind: 'Ingress' },
  { group: 'batch', version: 'v1', kind: 'CronJob' }
]

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    count: { type: 'string', default: '2000' },
    kind: { type: 'string' },
    op: { type: 'string' },
    most: { type: 'string', default: '10' },
    golden: { type: 'string' }
  }
})
const work = mkdtempSync(join(tmpdir(), 'reckon-oracle-'))
const oracle = await Oracle.build(work)
const counts = new Map<string, { cases: number; differ: number; refused: number }>()
const found: Difference[] = []
/** Of each kind and way a few small ones are kept. */
const KEPT = 3
const LONGEST_KEPT = 4_000
const kept = new Map<string, Agreed[]>()
const keep = (name: string, agreed: Agreed): void => {
  const known = kept.get(name) ?? []
  if (known.length >= KEPT || JSON.stringify(agreed).length > LONGEST_KEPT) return
  kept.set(name, [...known, agreed])
}
const corners: Agreed[] = []
const counted = (kind: string, result: Compared): void => {
  const name = `${kind} ${result.op}`
  const count = counts.get(name) ?? { cases: 0, differ: 0, refused: 0 }
  count.cases++
  if (result.refused) count.refused++
  if (result.difference !== undefined) {
    count.differ++
    found.push(result.difference)
  }
  counts.set(name, count)
}
try {
  for (const [at, question] of CORNERS.entries()) {
    const result = await compareCorner(oracle, question, `corner ${at}, ${question.kind} ${question.op}`)
    if (result.agreed !== undefined) corners.push(result.agreed)
    counted(question.kind, result)
  }
  const kinds = KINDS.filter(({ kind }) => values.kind === undefined || kind === values.kind)
  for (let at = 0; at < Number(values.count); at++) {
    const kind = kinds[at % kinds.length] as KindName
    const seed = Number(values.seed) * 1_000_000 + at
    for (const result of await compareCase(oracle, new Maker(kind, seed), kind, seed, values.op)) {
      if (result.agreed !== undefined) keep(`${kind.kind} ${result.op} ${result.refused}`, result.agreed)
      counted(kind.kind, result)
    }
  }
} finally {
  oracle.end()
  rmSync(work, { recursive: true })
}
for (const { title, ...rest } of found.slice(0, Number(values.most))) console.log(`${title}\n${JSON.stringify(rest as Json, null, 1)}`)
let [cases, differ] = [0, 0]
for (const [name, count] of [...counts].toSorted()) {
  console.log(`${name}: ${count.cases} cases, ${count.refused} refused by both, ${count.differ} differ`)
  cases += count.cases
  differ += count.differ
}
if (values.golden !== undefined)
  writeFileSync(values.golden, `${[...[...kept.values()].flat(), ...corners].map((one) => JSON.stringify(one)).join('\n')}\n`)
if (found.length > 0) writeFileSync(join(tmpdir(), 'reckon-patch-differences.json'), JSON.stringify(found))
console.log(`${cases} cases compared, ${differ} differ (${((100 * differ) / Math.max(cases, 1)).toFixed(2)} %)`)
process.exit(differ === 0 ? 0 : 1)
