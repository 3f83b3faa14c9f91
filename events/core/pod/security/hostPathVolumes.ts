/** A pod must not mount files of its node. */
import { isGiven, type Check } from './Check.ts'
import { plural, quoted } from './words.ts'

export const hostPathVolumes: Check = {
  id: 'hostPathVolumes',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const names = (spec.volumes ?? []).filter(({ hostPath }) => isGiven(hostPath)).map(({ name }) => name)
        return names.length === 0
          ? undefined
          : { reason: 'hostPath volumes', detail: `${plural('volume', 'volumes', names.length)} ${quoted(names)}` }
      }
    }
  ]
}
