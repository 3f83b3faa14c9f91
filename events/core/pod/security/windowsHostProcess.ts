/** A Windows pod must not run on its node outside of containers. */
import { offenders, type Check } from './Check.ts'
import { settersOf } from './words.ts'

interface WithOptions {
  readonly securityContext?: { readonly windowsOptions?: { readonly hostProcess?: boolean } }
}

const isHostProcess = ({ securityContext }: WithOptions): boolean => securityContext?.windowsOptions?.hostProcess === true

export const windowsHostProcess: Check = {
  id: 'windowsHostProcess',
  level: 'baseline',
  versions: [
    {
      since: 0,
      check: ({ spec }) => {
        const setters = settersOf(isHostProcess(spec), offenders(spec, isHostProcess))
        return setters === ''
          ? undefined
          : { reason: 'hostProcess', detail: `${setters} must not set securityContext.windowsOptions.hostProcess=true` }
      }
    }
  ]
}
