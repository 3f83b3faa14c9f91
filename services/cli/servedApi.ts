/** What a cluster serves, or served at a moment of the past: asked of it, for its kinds are not only those that are built in. */
import { DEFINITIONS } from '#events/collections.ts'
import type { Api } from '#events/Api.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import type { Status } from '#events/Refusal.ts'
import { CliError, type Environment } from './Environment.ts'

const PATH = `/apis/${DEFINITIONS.group}/v1/${DEFINITIONS.resource}`

interface Definitions {
  readonly items: readonly KubeObject[]
  readonly metadata: { readonly resourceVersion: string }
}

/**
 * Definitions and not discovery documents: they say as well where objects are stored, which who reads the log has to know.
 * Throws CliError in the cluster's words.
 */
export const servedApi = async (builtIn: Api, read: Environment['Service']['read'], moment?: string): Promise<Api> => {
  const { status, body } = await read(PATH, moment === undefined ? {} : { moment })
  if (status !== 200) {
    const { reason = status, message = body } = JSON.parse(body) as Partial<Status>
    throw new CliError(`Error from server (${reason}): ${message}`)
  }
  const { items, metadata } = JSON.parse(body) as Definitions
  return builtIn.with(items, Number(metadata.resourceVersion))
}
