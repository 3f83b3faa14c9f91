/** Where the components of a process run, and whom they tell what goes wrong. */
import * as Context from 'effect/Context'
import type { ClusterConfig } from '#ops/home.ts'

export class Place extends Context.Service<
  Place,
  {
    readonly home: string
    readonly config: ClusterConfig
    /** Something in the background failed; the component goes on (or is about to be restarted). */
    readonly warn: (component: string, error: unknown) => void
    /** A component can't go on: the process ends and says why. */
    readonly fatal: (component: string, error: unknown) => void
  }
>()('reckon/ops/Place') {}

/** A line of the process' own log. */
export const say = (line: string): void => void process.stdout.write(`${new Date().toISOString()} ${line}\n`)
