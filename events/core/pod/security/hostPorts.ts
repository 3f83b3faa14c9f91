/** A container must not take a port of its node. */
import { containersOf, offenders, type Check } from './Check.ts'
import { containersNamed, plural, sortedOnce } from './words.ts'

export const hostPorts: Check = {
  id: 'hostPorts',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const names = offenders(spec, ({ ports }) => ports?.some(({ hostPort }) => (hostPort ?? 0) !== 0) === true)
        if (names.length === 0) return undefined
        // As texts, hence in the order of texts: 443, 80.
        const taken = sortedOnce(
          containersOf(spec).flatMap(({ ports = [] }) => ports.flatMap(({ hostPort }) => ((hostPort ?? 0) === 0 ? [] : [String(hostPort)])))
        )
        const use = `${plural('uses', 'use', names.length)} ${plural('hostPort', 'hostPorts', taken.length)}`
        return { reason: 'hostPort', detail: `${containersNamed(names)} ${use} ${taken.join(', ')}` }
      }
    }
  ]
}
