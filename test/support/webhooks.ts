/** Webhooks as admission plugins, for tests of what decisions ask outside: changing ones and judging ones, in upstream's manner. */
import type { KubeObject } from '#events/KubeObject.ts'
import { same } from '#events/meta/faults.ts'
import { forbidden, Refusal } from '#events/Refusal.ts'
import { replaceContents } from '#services/apiserver/admission/admission.ts'
import { NOTHING, type AdmissionPlugin, type Answer, type Need, type Write } from '#services/apiserver/decision.ts'
import type { Outside } from '#services/apiserver/Outside.ts'
import { applyJsonPatch } from '#services/apiserver/patch/json.ts'

export interface Review {
  readonly operation: string
  readonly object: KubeObject
}
export interface Verdict {
  readonly allowed: boolean
  readonly message?: string
  readonly patch?: readonly unknown[]
  readonly warnings?: readonly string[]
}

interface WebhookOptions {
  readonly resource?: string
  readonly failurePolicy?: 'Fail' | 'Ignore'
  readonly reinvocationPolicy?: 'Never' | 'IfNeeded'
  readonly timeoutMs?: number
}

const questionOf = (name: string, { operation, object }: Write, timeoutMs: number) => ({
  kind: 'webhook',
  name,
  request: { operation, object: structuredClone(object) },
  timeoutMs
})

/** Undefined: it failed, and that is to be ignored. */
const verdictOf = (name: string, { kind, object }: Write, answer: Answer, policy: 'Fail' | 'Ignore'): Verdict | undefined => {
  if (!answer.ok) {
    if (policy === 'Ignore') return undefined
    throw new Refusal(500, 'InternalError', `Internal error occurred: failed calling webhook "${name}": ${answer.error}`)
  }
  const verdict = answer.value as Verdict
  if (!verdict.allowed)
    throw forbidden(kind, object?.metadata.name ?? '', `admission webhook "${name}" denied the request: ${verdict.message ?? ''}`)
  return verdict
}

export const mutating = (
  name: string,
  { resource = 'configmaps', failurePolicy = 'Fail', reinvocationPolicy = 'Never', timeoutMs = 10_000 }: WebhookOptions = {}
): AdmissionPlugin => ({
  name,
  handles: (operation, kind) => operation !== 'DELETE' && kind.resource === resource,
  admit(write, { again, ask, changed, notes, warn }) {
    const object = write.object as KubeObject
    if (again && (reinvocationPolicy === 'Never' || same(notes.get(name), object))) return
    const verdict = verdictOf(name, write, ask(questionOf(name, write, timeoutMs)), failurePolicy)
    for (const warning of verdict?.warnings ?? []) warn(warning)
    if (verdict?.patch !== undefined) {
      const before = structuredClone(object)
      const patched = applyJsonPatch(object, verdict.patch)
      if ('refused' in patched) throw new Refusal(500, 'InternalError', patched.refused.message)
      replaceContents(object, patched.ok as KubeObject)
      if (!same(before, object)) changed()
    }
    notes.set(name, structuredClone(object))
  }
})

export const validating = (
  name: string,
  { resource = 'configmaps', failurePolicy = 'Fail', timeoutMs = 10_000 }: WebhookOptions = {}
): AdmissionPlugin => ({
  name,
  handles: (operation, kind) => operation !== 'DELETE' && kind.resource === resource,
  validate(write, { askAll }) {
    const [answer] = askAll([questionOf(name, write, timeoutMs)])
    const verdict = verdictOf(name, write, answer as Answer, failurePolicy)
    return verdict?.warnings === undefined ? NOTHING : { warnings: verdict.warnings, audit: {} }
  }
})

/** Servers by the webhook's name; `asked` says who was, in order. */
export const serving = (
  servers: Readonly<Record<string, (review: Review) => Verdict | Promise<Verdict>>>
): Outside & { readonly asked: string[]; readonly needs: Need[] } => {
  const asked: string[] = []
  const needs: Need[] = []
  return {
    asked,
    needs,
    ask: async (need) => {
      asked.push(need.name)
      needs.push(need)
      const server = servers[need.name]
      if (server === undefined) throw new Error('connection refused')
      return server(need.request as Review)
    }
  }
}
