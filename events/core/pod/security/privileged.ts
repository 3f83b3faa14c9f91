/** A privileged container has its node. */
import { offenders, type Check } from './Check.ts'
import { containersNamed } from './words.ts'

export const privileged: Check = {
  id: 'privileged',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const names = offenders(spec, ({ securityContext }) => securityContext?.privileged === true)
        return names.length === 0
          ? undefined
          : { reason: 'privileged', detail: `${containersNamed(names)} must not set securityContext.privileged=true` }
      }
    }
  ]
}
