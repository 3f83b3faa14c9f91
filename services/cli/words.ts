/** What the commands share: flags, and how their work is done in the environment. */
import * as Argument from 'effect/cli/Argument'
import * as Flag from 'effect/cli/Flag'
import * as Effect from 'effect/Effect'
import * as Option from 'effect/Option'
import { CliError, Environment } from './Environment.ts'

export const namespace = Flag.String('namespace').pipe(
  Flag.withAlias('n'),
  Flag.withDefault('default'),
  Flag.withDescription('The namespace to look in')
)
export const data = Flag.Literals('output', ['table', 'json', 'yaml']).pipe(
  Flag.withAlias('o'),
  Flag.withDefault('table'),
  Flag.withDescription('How to print the result')
)
export const object = Argument.String('object').pipe(Argument.variadic(), Argument.withDescription('KIND/NAME, for example deployment/web'))
export const or = <Value>(option: Option.Option<Value>): Value | undefined => Option.getOrUndefined(option)

/**
 * A command's work in the environment. Inside it is a promise: it loads what it needs, asks one question after the other and prints;
 * an effect for each step would say no more. It is told when the person has seen enough.
 */
export const doing = (
  work: (environment: Environment['Service'], signal: AbortSignal) => Promise<void>
): Effect.Effect<void, CliError, Environment> =>
  Effect.flatMap(Environment, (environment) => Effect.tryPromise({ try: (signal) => work(environment, signal), catch: told }))

/** Other failures than the person's, in their words. */
export const told = (error: unknown): CliError =>
  error instanceof CliError ? error : new CliError(`error: ${error instanceof Error ? error.message : String(error)}`)
