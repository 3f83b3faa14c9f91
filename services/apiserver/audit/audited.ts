/** A decider whose refusals reach the audit trail: for the doors that are not HTTP, where nobody else notes who asked. */
import type { Clock } from '#services/platform/Clock.ts'
import type { Decider } from '#services/apiserver/Decider.ts'
import { askedByIntent, intentAnnotations } from './record.ts'
import type { Recorder } from './RequestAudit.ts'
import { isAudited } from './rules.ts'

export const audited = (decider: Decider, recorder: Recorder, clock: Clock): Decider => ({
  submit: async (intent, user, ...rest) => {
    const asked = askedByIntent(intent, user, clock.now())
    const result = await decider.submit(intent, user, ...rest)
    const status = result.ok ? { code: result.code } : result.status
    if (isAudited(asked, status.code ?? 500, result.audit))
      recorder.record(asked, {
        stage: 'ResponseComplete',
        status,
        annotations: { ...result.audit, ...intentAnnotations(intent) },
        at: clock.now()
      })
    return result
  }
})
