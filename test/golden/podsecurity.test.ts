/**
 * Pods and what the Pod Security Standards say of them, as files: one for each check, named by its id, and one of pods drawn
 * at random. The expectations were written by upstream's own library (k8s.io/pod-security-admission v0.36.6), not by ours;
 * a new case needs its word as well. Each result holds from its version to before the next one's, the last for ever.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parse } from 'yaml'
import type { Subject } from '#events/core/pod/security/Check.ts'
import { CHECKS, detailsOf, violationsOf } from '#events/core/pod/security/evaluate.ts'
import { LATEST, parseVersion, type Version } from '#events/core/pod/security/policy.ts'

interface Case {
  readonly name: string
  readonly pod: Partial<Subject> & Pick<Subject, 'spec'>
  readonly baseline: Readonly<Record<string, string>>
  readonly restricted: Readonly<Record<string, string>>
}

const FOLDER = join(import.meta.dirname, 'podsecurity')
/** Beyond the newest version anything changed in. */
const MINORS = 40

const version = (text: string): Version => {
  const parsed = parseVersion(text)
  if (parsed === undefined) throw new Error(`${text} is no version`)
  return parsed
}

const expected = (results: Readonly<Record<string, string>>, { minor }: Version): string => {
  const since = Object.keys(results).findLast((text) => version(text).minor <= minor)
  return results[since as string] as string
}

const golden = suite('Pod Security, as upstream judges')
const files = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'))

for (const file of files)
  for (const { name, pod, baseline, restricted } of parse(readFileSync(join(FOLDER, file), 'utf8')) as Case[])
    golden(`${file.replace('.yaml', '')}: ${name}`, () => {
      const subject: Subject = { metadata: pod.metadata ?? {}, spec: pod.spec }
      for (const at of [...Array.from({ length: MINORS }, (_, minor) => version(`v1.${minor}`)), LATEST])
        for (const [level, results] of [
          ['baseline', baseline],
          ['restricted', restricted]
        ] as const)
          assert.is(detailsOf(violationsOf({ level, version: at }, subject)) || 'allowed', expected(results, at), `${level}:${at.text}`)
    })

golden('every check has a file', () => {
  // One file holds both of its levels.
  const ids = CHECKS.map(({ id }) => id).filter((id) => id !== 'procMount_restricted')
  assert.equal(
    ids.filter((id) => !files.includes(`${id}.yaml`)),
    []
  )
})

golden.run()
