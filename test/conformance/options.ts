/** What `npm run conformance -- …` was asked for. */

export interface Options {
  /** Specs whose name matches; all of them when absent. */
  readonly focus?: RegExp
  /** Specs at a time; those marked [Serial] or [Disruptive] run alone whatever this says. */
  readonly jobs: number
  /** Seconds a spec may take. */
  readonly limit: number
  /** Which of the specs that have a result run again. */
  readonly rerun: 'none' | 'failed' | 'all'
  /** The cluster to test; one is started, and removed afterwards, when absent. */
  readonly kubeconfig?: string
  /** Where the table goes; absolute or from where the command is given. */
  readonly table?: string
  /** Only says what would run. */
  readonly list: boolean
}

export const USAGE = `npm run conformance -- [options]

  --focus RE           only specs whose name matches
  --jobs N             specs at a time (2); [Serial] ones run alone, after the others
  --limit-s SECONDS    what a spec may take (420: some wait five minutes to see that nothing happens)
  --rerun failed|all   specs that have a result run again; without it a run goes on where the last one ended
  --kubeconfig FILE    a cluster that runs; without it one is started, and removed afterwards
  --table FILE.md      where the results go (ops/docs/conformance.md, with a .tsv beside it)
  --list               says what would run, and runs nothing`

const VALUED = ['--focus', '--jobs', '--limit-s', '--rerun', '--kubeconfig', '--table'] as const

/** Throws what is wrong with the arguments, in words for whoever typed them. */
export const parseOptions = (args: readonly string[]): Options => {
  const given = new Map<string, string>()
  for (let at = 0; at < args.length; at++) {
    const [name = '', inline] = (args[at] as string).split(/=(.*)/s)
    if (name === '--list' && inline === undefined) given.set(name, '')
    else if ((VALUED as readonly string[]).includes(name)) {
      const value = inline ?? args[++at]
      if (value === undefined || value === '') throw new Error(`${name} needs a value`)
      given.set(name, value)
    } else throw new Error(`${args[at]} is no option`)
  }
  const focus = given.get('--focus')
  const rerun = given.get('--rerun') ?? 'none'
  if (rerun !== 'none' && rerun !== 'failed' && rerun !== 'all') throw new Error(`--rerun ${rerun}: must be failed or all`)
  const kubeconfig = given.get('--kubeconfig')
  const table = given.get('--table')
  if (table !== undefined && !table.endsWith('.md')) throw new Error(`--table ${table}: must end with .md`)
  return {
    jobs: countOf(given, '--jobs', 2),
    limit: countOf(given, '--limit-s', 420),
    rerun,
    list: given.has('--list'),
    ...(focus === undefined ? {} : { focus: expressionOf(focus) }),
    ...(kubeconfig === undefined ? {} : { kubeconfig }),
    ...(table === undefined ? {} : { table })
  }
}

const countOf = (given: ReadonlyMap<string, string>, name: string, fallback: number): number => {
  const value = Number(given.get(name) ?? fallback)
  if (Number.isInteger(value) && value > 0) return value
  throw new Error(`${name} ${given.get(name)}: must be a whole number above 0`)
}

const expressionOf = (text: string): RegExp => {
  try {
    return new RegExp(text)
  } catch (error) {
    throw new Error(`--focus: ${(error as Error).message}`)
  }
}
