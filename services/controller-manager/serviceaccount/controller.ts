/** The service account controller: looks at a namespace when it or an account in it changes. */
import { NAMESPACES, SERVICE_ACCOUNTS } from '#events/collections.ts'
import { watch, type ControllerDefinition } from '#services/platform/decision.ts'
import { decide, NAME } from './decide.ts'

export const serviceaccount: ControllerDefinition = {
  name: NAME,
  watches: [
    watch(NAMESPACES, ({ entry }) => [entry.key.name]),
    watch(SERVICE_ACCOUNTS, ({ entry, type }) => (type === 'DELETED' ? [entry.key.namespace] : []))
  ],
  decide
}
