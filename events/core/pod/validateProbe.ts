/** The faults of probes and lifecycle hooks: exactly one action each, and sensible numbers. */
import type { Lifecycle, Probe } from '#events/schema/generated/core.v1.ts'
import { badValue, badValues, forbiddenField, nonNegative, oneOf, required } from '#events/meta/faults.ts'
import { portName, portNumber } from '#events/meta/names.ts'
import type { FieldError } from '#events/Refusal.ts'

interface Actions {
  readonly exec?: { readonly command?: readonly string[] }
  readonly httpGet?: {
    readonly path?: string
    readonly port?: number | string
    readonly scheme?: string
    readonly httpHeaders?: readonly { readonly name?: string }[]
  }
  readonly tcpSocket?: { readonly port?: number | string }
  readonly grpc?: { readonly port?: number }
  readonly sleep?: { readonly seconds?: number }
}

const ACTIONS = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'] as const
const HEADER = /^[-A-Za-z0-9]+$/

const validatePort = (port: number | string | undefined, field: string, errors: FieldError[]): void => {
  const value = port ?? 0
  for (const message of typeof value === 'number' ? portNumber(value) : portName(value)) errors.push(badValue(field, value, message))
}

const validateActions = (actions: Actions, path: string, errors: FieldError[]): void => {
  let count = 0
  for (const name of ACTIONS) {
    if (actions[name] === undefined || actions[name] === null) continue
    if (count++ > 0) {
      errors.push(forbiddenField(`${path}.${name}`, 'may not specify more than 1 handler type'))
      continue
    }
    switch (name) {
      case 'exec':
        if (!actions.exec?.command?.length) errors.push(required(`${path}.exec.command`))
        break
      case 'httpGet':
        if (!actions.httpGet?.path) errors.push(required(`${path}.httpGet.path`))
        validatePort(actions.httpGet?.port, `${path}.httpGet.port`, errors)
        oneOf(actions.httpGet?.scheme, `${path}.httpGet.scheme`, ['HTTP', 'HTTPS'], errors)
        actions.httpGet?.httpHeaders?.forEach((header, index) => {
          if (!HEADER.test(header.name ?? ''))
            errors.push(
              badValue(
                `${path}.httpGet.httpHeaders[${index}].name`,
                header.name ?? '',
                "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"
              )
            )
        })
        break
      case 'tcpSocket':
        validatePort(actions.tcpSocket?.port, `${path}.tcpSocket.port`, errors)
        break
      case 'grpc':
        errors.push(...badValues(`${path}.grpc.port`, actions.grpc?.port ?? 0, portNumber(actions.grpc?.port ?? 0)))
        break
      case 'sleep':
        nonNegative(actions.sleep?.seconds, `${path}.sleep.seconds`, errors)
    }
  }
  if (count === 0) errors.push(required(path, 'must specify a handler type'))
}

/** @param successes what successThreshold must be, when it must. */
export const validateProbe = (probe: Probe | undefined, path: string, successes: number | undefined, errors: FieldError[]): void => {
  if (probe === undefined || probe === null) return
  validateActions(probe as Actions, path, errors)
  nonNegative(probe.initialDelaySeconds, `${path}.initialDelaySeconds`, errors)
  nonNegative(probe.timeoutSeconds, `${path}.timeoutSeconds`, errors)
  nonNegative(probe.periodSeconds, `${path}.periodSeconds`, errors)
  nonNegative(probe.successThreshold, `${path}.successThreshold`, errors)
  nonNegative(probe.failureThreshold, `${path}.failureThreshold`, errors)
  if (probe.terminationGracePeriodSeconds !== undefined && probe.terminationGracePeriodSeconds <= 0)
    errors.push(badValue(`${path}.terminationGracePeriodSeconds`, probe.terminationGracePeriodSeconds, 'must be greater than 0'))
  if (successes !== undefined && probe.successThreshold !== successes)
    errors.push(badValue(`${path}.successThreshold`, probe.successThreshold, `must be ${successes}`))
}

export const validateLifecycle = (lifecycle: Lifecycle | undefined, path: string, errors: FieldError[]): void => {
  if (lifecycle?.postStart !== undefined) validateActions(lifecycle.postStart as Actions, `${path}.postStart`, errors)
  if (lifecycle?.preStop !== undefined) validateActions(lifecycle.preStop as Actions, `${path}.preStop`, errors)
}
