/** What holds of Pod Security for every pod. */
import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CHECKS, detailsOf, reasonsOf, violationsOf } from '#events/core/pod/security/evaluate.ts'
import { evaluateNamespace } from '#events/core/pod/security/evaluateNamespace.ts'
import { isSignificantUpdate } from '#events/core/pod/security/isSignificantUpdate.ts'
import { LATEST, LEVELS, parseVersion, policyOf, PREFIX, type Version } from '#events/core/pod/security/policy.ts'
import { byCodePoint, goQuoted } from '#events/core/pod/security/words.ts'
import { validateOs } from '#events/core/pod/validateOs.ts'
import { validateVolumes } from '#events/core/pod/validateVolume.ts'
import type { FieldError } from '#events/Refusal.ts'
import { anyPod } from '#test/support/securityPods.ts'

const v1 = (minor: number): Version => parseVersion(`v1.${minor}`) as Version
const anyVersion = fc.oneof(fc.integer({ min: 0, max: 40 }).map(v1), fc.constant(LATEST))
const RUNS = { numRuns: 2_000 }

const property = suite('Pod Security')

property('what restricted allows, baseline allows, for every pod that may be stored', () => {
  let allowed = 0
  fc.assert(
    fc.property(anyPod, anyVersion, (pod, version) => {
      // Exceptions that validation refuses: a Windows pod with capabilities, and a volume that is of an allowed kind as well.
      const faults: FieldError[] = []
      validateOs(pod.spec, 'spec', faults)
      validateVolumes(pod.spec.volumes, 'spec.volumes', faults)
      fc.pre(!faults.some(({ type }) => type === 'Forbidden'))
      if (violationsOf({ level: 'restricted', version }, pod).length > 0) return
      allowed++
      assert.equal(violationsOf({ level: 'baseline', version }, pod), [])
    }),
    RUNS
  )
  assert.ok(allowed > 50, `only ${allowed} pods were allowed: the property says nothing`)
})

property('privileged allows everything', () => {
  fc.assert(
    fc.property(anyPod, anyVersion, (pod, version) => assert.equal(violationsOf({ level: 'privileged', version }, pod), [])),
    { numRuns: 100 }
  )
})

property('a version says what the newest one before it that changed anything said', () => {
  const changes = new Set(CHECKS.flatMap(({ versions }) => versions.map(({ since }) => since)))
  fc.assert(
    fc.property(anyPod, fc.constantFrom('baseline', 'restricted'), fc.integer({ min: 1, max: 60 }), (pod, level, minor) => {
      const [now, before] = [violationsOf({ level, version: v1(minor) }, pod), violationsOf({ level, version: v1(minor - 1) }, pod)]
      if (!changes.has(minor)) assert.equal(now, before)
      assert.equal(violationsOf({ level, version: LATEST }, pod), violationsOf({ level, version: v1(60) }, pod))
    }),
    RUNS
  )
})

property('a debugging container never makes a pod better', () => {
  fc.assert(
    fc.property(anyPod, anyPod, fc.constantFrom('baseline', 'restricted'), anyVersion, (pod, other, level, version) => {
      const { ephemeralContainers: _, ...spec } = pod.spec
      const debugged = { ...pod, spec: { ...spec, ephemeralContainers: other.spec.containers as never } }
      const reasons = new Set(violationsOf({ level, version }, debugged).map(({ reason }) => reason))
      for (const { reason } of violationsOf({ level, version }, { ...pod, spec }))
        if (!reason.startsWith('forbidden AppArmor')) assert.ok(reasons.has(reason), reason)
      assert.is(isSignificantUpdate(debugged.spec, spec), true)
      assert.is(isSignificantUpdate(spec, spec), false)
    }),
    RUNS
  )
})

property('labels always give a policy, and never a laxer one for being wrong', () => {
  const text = fc.oneof(fc.constantFrom(...LEVELS, 'latest', 'v1.9', 'v1.99'), fc.string({ maxLength: 8 }))
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom('enforce', 'enforce-version', 'audit', 'audit-version', 'warn', 'warn-version').map((label) => `${PREFIX}${label}`),
        text
      ),
      (labels) => {
        const { policy, faults } = policyOf(labels)
        const wrong = new Set(faults.map(({ field }) => field))
        const level = labels[`${PREFIX}enforce`]
        assert.is(policy.enforce.level, level === undefined ? 'privileged' : (LEVELS.find((one) => one === level) ?? 'restricted'))
        assert.is(wrong.has(`metadata.labels[${PREFIX}enforce]`), level !== undefined && !LEVELS.includes(level as never))
        for (const mode of ['audit', 'warn'] as const)
          if (wrong.has(`metadata.labels[${PREFIX}${mode}]`)) assert.is(policy[mode].level, 'privileged')
      }
    ),
    RUNS
  )
})

property('a namespace is told of exactly the pods that would be refused', () => {
  const version = LATEST
  fc.assert(
    fc.property(fc.array(anyPod, { maxLength: 12 }), fc.constantFrom('baseline', 'restricted'), (subjects, level) => {
      const pods = subjects.map((subject, index) => ({
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name: `p${String(index).padStart(2, '0')}`, ...subject.metadata },
        spec: subject.spec
      }))
      const warnings = evaluateNamespace('shop', { level, version }, pods, [])
      const bad = subjects.map((subject) => reasonsOf(violationsOf({ level, version }, subject))).filter((reasons) => reasons !== '')
      if (bad.length === 0) return assert.equal(warnings, [])
      assert.is(warnings[0], `existing pods in namespace "shop" violate the new PodSecurity enforce level "${level}:latest"`)
      const counted = warnings
        .slice(1)
        .reduce((sum, line) => sum + 1 + Number(/^p\d\d \(and (\d+) other pods?\): /.exec(line)?.[1] ?? 0), 0)
      assert.is(counted, bad.length)
      assert.is(warnings.length - 1, new Set(bad).size)
    }),
    { numRuns: 500 }
  )
})

property('judging changes nothing', () => {
  fc.assert(
    fc.property(anyPod, (pod) => {
      const before = JSON.stringify(pod)
      detailsOf(violationsOf({ level: 'restricted', version: LATEST }, pod))
      assert.is(JSON.stringify(pod), before)
    }),
    { numRuns: 200 }
  )
})

property('texts are in the order of their bytes, and quoted in ASCII where they would not show', () => {
  const text = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\u{1f600}', '\uffee', '\ud7ff', '\ue000', '"', '\\', '\u0007', '\u007f', '\u00a0'),
      fc.string({ minLength: 1, maxLength: 1 })
    )
  })
  fc.assert(
    fc.property(text, text, (a, b) => {
      assert.is(Math.sign(byCodePoint(a, b)), Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))))
      assert.not.match(goQuoted(a), /[\x00-\x1f\x7f\u00a0]/)
    }),
    RUNS
  )
})

property.run()
