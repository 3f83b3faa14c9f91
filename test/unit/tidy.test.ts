/** The tree itself: who may import whom, what the pure part may not reach for, and that every module introduces itself. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve, dirname } from 'node:path'
import { check, type Options } from 'prettier'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const ROOT = resolve(import.meta.dirname, '../..')
const OPTIONS = JSON.parse(readFileSync(join(ROOT, '.prettierrc.json'), 'utf8')) as Options
const TOPS = ['events', 'projections', 'services', 'ops', 'test'] as const
type Top = (typeof TOPS)[number]

const files = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .filter((path) => !path.includes('/generated/'))

const ALL = TOPS.flatMap(files)
const text = new Map(ALL.map((path) => [path, readFileSync(join(ROOT, path), 'utf8')]))

interface Import {
  readonly specifier: string
  /** Gone when it runs: knowledge all the same, but nothing is done through it. */
  readonly typeOnly: boolean
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b([^'"\n]*?(?:\{[^}]*\}[^'"\n]*?)?)from\s*['"]([^'"]+)['"]|import\(['"]([^'"]+)['"]\)|(?:^|\n)import\s+['"]([^'"]+)['"]/g

const importsWithin = (path: string): readonly Import[] =>
  [...(text.get(path) as string).matchAll(IMPORT)].map(([, names = '', from, dynamic, bare]) => ({
    specifier: from ?? dynamic ?? bare ?? '',
    typeOnly: /^\s*type\b/.test(names)
  }))

/** The specifiers a module imports; type-only ones count too: knowledge is knowledge. */
const importsOf = (path: string): string[] => importsWithin(path).map(({ specifier }) => specifier)

/** The project file an import leads to, or undefined for a package or a Node module. */
const targetOf = (path: string, specifier: string): string | undefined => {
  if (specifier.startsWith('#')) return specifier.slice(1)
  if (specifier.startsWith('.')) return relative(ROOT, resolve(ROOT, dirname(path), specifier))
  return undefined
}

const topOf = (path: string): Top => path.split('/')[0] as Top

/** events ← projections ← services ← ops; tests see everything. */
const MAY_SEE: Readonly<Record<Top, readonly Top[]>> = {
  events: ['events'],
  projections: ['events', 'projections'],
  services: ['events', 'projections', 'services'],
  ops: ['events', 'projections', 'services', 'ops'],
  test: TOPS
}

const isPure = (path: string): boolean =>
  topOf(path) === 'events' ||
  topOf(path) === 'projections' ||
  /^services\/.*\/(decide|render|answer|explain)\.ts$/.test(path) ||
  /^services\/scheduler\/(filters|scores)\//.test(path) ||
  /^services\/apiserver\/(verbs\/(create|update|patch|delete)|admission\/.*|claims\/(allocate|claims|service)|decision|subresources\/(binding|eviction|halves|scale|subresources)|patch\/.*|request\/(decode|events|denied|names|options)|door\/check)\.ts$/.test(
    path
  )

const tidy = suite('the tree')

tidy('has files in every part', () => {
  for (const top of TOPS) assert.ok(files(top).length > 3, `${top}/ is (nearly) empty: the walk is broken`)
})

tidy('keeps the arrow of knowledge', () => {
  const wrong: string[] = []
  for (const path of ALL)
    for (const specifier of importsOf(path)) {
      const target = targetOf(path, specifier)
      if (target !== undefined && target !== 'package.json' && !MAY_SEE[topOf(path)].includes(topOf(target)))
        wrong.push(`${path} imports ${target}`)
    }
  assert.equal(
    wrong,
    [],
    'events ← projections ← services ← ops: a lower layer that knows a higher one can no longer be tested or replayed alone'
  )
})

tidy('keeps services apart', () => {
  const wrong: string[] = []
  for (const path of files('services'))
    for (const specifier of importsOf(path)) {
      const target = targetOf(path, specifier)
      if (target === undefined || topOf(target) !== 'services') continue
      const [, own] = path.split('/')
      const [, other] = target.split('/')
      if (own === other || other === 'platform') continue
      // The command line is the historian's face.
      if (own === 'cli' && other === 'historian') continue
      // The agent owns the pod network's port; the network implements it.
      if (own === 'network' && target.startsWith('services/kubelet/PodNetwork')) continue
      wrong.push(`${path} imports ${target}`)
    }
  assert.equal(
    wrong,
    [],
    'a service talks to another through the log or a port in platform/, never by import: that is what lets each run alone'
  )
})

/** What a module does that depends on more than its arguments. */
const impurities = (path: string): string[] => {
  const found = importsWithin(path)
    .filter(({ specifier }) => specifier.startsWith('node:') || /^(effect|@effect|@nats-io|dockerode|execa)/.test(specifier))
    .map(({ specifier }) => `imports ${specifier}`)
  const code = (text.get(path) as string).replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, '')
  for (const [banned, why] of [
    [/\bDate\.now\(|new Date\(\)/, 'reads the clock'],
    [/\bMath\.random\(/, 'rolls dice'],
    [/\bprocess\.(?!stdout)/, 'looks at its process'],
    [/\bset(Timeout|Interval|Immediate)\(/, 'waits'],
    [/\bawait\b|\basync\b/, 'is asynchronous'],
    [/\bfetch\(/, 'talks to the network']
  ] as const)
    if (banned.test(code)) found.push(why)
  return found
}

/** Modules of the project whose code a module runs. */
const runs = (path: string): string[] =>
  importsWithin(path)
    .filter(({ typeOnly }) => !typeOnly)
    .map(({ specifier }) => targetOf(path, specifier))
    .filter((target) => target !== undefined && text.has(target)) as string[]

tidy('keeps the pure part pure, with all it runs', () => {
  const wrong: string[] = []
  const from = new Map<string, string | undefined>(ALL.filter(isPure).map((path) => [path, undefined]))
  const wayTo = (path: string): string => (from.get(path) === undefined ? path : `${wayTo(from.get(path) as string)} → ${path}`)
  for (const path of from.keys()) {
    for (const impurity of impurities(path)) wrong.push(`${wayTo(path)} ${impurity}`)
    // A map gives what is put into it meanwhile, too.
    for (const target of runs(path)) if (!from.has(target)) from.set(target, path)
  }
  assert.equal(wrong, [], 'a fold or a decision that depends on more than its arguments can not be replayed')
})

tidy('passes the API, and imports no registry of kinds', () => {
  const wrong = ALL.filter(
    (path) =>
      topOf(path) !== 'ops' &&
      topOf(path) !== 'test' &&
      importsOf(path).some((specifier) => targetOf(path, specifier) === 'events/scheme.ts')
  )
  assert.equal(
    wrong,
    [],
    'what is served differs from moment to moment and from cluster to cluster: whoever has to know is given the `Api`'
  )
})

tidy('has no circles', () => {
  const circles: string[] = []
  const done = new Set<string>()
  const walk = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) return void circles.push([...way.slice(way.indexOf(path)), path].join(' → '))
    if (done.has(path)) return
    for (const specifier of importsOf(path)) {
      const target = targetOf(path, specifier)
      if (target !== undefined && text.has(target)) walk(target, [...way, path])
    }
    done.add(path)
  }
  for (const path of ALL) walk(path, [])
  assert.equal(circles, [], 'modules that know each other are one module in several files')
})

tidy('names modules one way: `./` below, `#…/` everywhere else', () => {
  const wrong = ALL.flatMap((path) =>
    importsOf(path)
      .filter((specifier) => specifier.startsWith('../') && !specifier.endsWith('package.json'))
      .map((specifier) => `${path} imports ${specifier}`)
  )
  assert.equal(wrong, [], 'a path that climbs says where the reader is, not what is meant')
})

tidy('names files one way: after the class they hold, or in camelCase', () => {
  const wrong = ALL.filter((path) => !/^[A-Za-z][A-Za-z0-9]*(\.(test|fixture|gen))?\.ts$/.test(path.slice(path.lastIndexOf('/') + 1)))
  assert.equal(wrong, [])
})

tidy('writes functions one way: arrows, but for generators', () => {
  const wrong = ALL.filter(
    (path) => path !== 'test/unit/tidy.test.ts' && /^ *(export )?(async )?function [a-zA-Z]/m.test(text.get(path) as string)
  )
  assert.equal(wrong, [])
})

tidy('is as the formatter writes it, in lines that only words make longer than 140 characters', async () => {
  const wrong: string[] = []
  for (const path of ALL) {
    const source = text.get(path) as string
    if (!(await check(source, { ...OPTIONS, filepath: path }))) wrong.push(`${path} is not formatted: npm run format`)
    source.split('\n').forEach((line, at) => {
      if (line.length > 140 && !/['"`/].{30,}/.test(line.replace(/^\s*(\/\/|\/?\*).*/, '')))
        wrong.push(`${path}:${at + 1} has ${line.length} characters`)
    })
  }
  assert.equal(wrong, [])
})

/** Lines of a module that still reads as one story. A test is as long as what it tries. */
const LONGEST = 350
/** Those that are longer; they don't grow beyond this. */
const LONGER: ReadonlyMap<string, number> = new Map([
  ['services/apiserver/Decider.ts', 400],
  ['services/historian/SqlitePast.ts', 400]
])

tidy('tells one story in a file', () => {
  const wrong = ALL.flatMap((path) => {
    const lines = (text.get(path) as string).split('\n').length - 1
    const most = LONGER.get(path) ?? LONGEST
    return topOf(path) === 'test' || lines <= most
      ? []
      : [`${path} has ${lines} lines, and ${most} is the limit: split it where its story has a seam`]
  })
  assert.equal(wrong, [])
})

/** A module without its comments, its texts and its regular expressions: what is left are words of the language and names. */
const words = (path: string): string =>
  (text.get(path) as string).replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`|(?<=[=(,:!&|?]\s*)\/(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n[])+\//g,
    ' '
  )

tidy('knows the type of everything: there is no `any`, and generated types have none', () => {
  const generated = readdirSync(join(ROOT, 'events/schema/generated'))
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `events/schema/generated/${name}`)
  for (const path of generated) text.set(path, readFileSync(join(ROOT, path), 'utf8'))
  const wrong = [...ALL, ...generated].filter((path) => /\bany\b/.test(words(path)))
  assert.ok(generated.length > 10)
  assert.equal(wrong, [], 'what is `any` is checked by nobody: `unknown` and a look, or the type of the collection (`asOneOf`)')
})

/** Where a value is what its type does not say, and a comment tells why: mostly libraries whose types say less than they do. */
const CAST_AROUND: readonly string[] = [
  'events/KubeObject.ts',
  'events/events/Event.ts',
  'events/meta/time.ts',
  'events/schema/Schema.ts',
  'ops/home.ts',
  'ops/nats/keys.ts',
  'ops/nats/streams.ts',
  'ops/nodes.ts',
  'ops/pki/pki.ts',
  'projections/Objects.ts',
  'services/apiserver/Decider.ts',
  'services/apiserver/door/follow.ts',
  'services/apiserver/http/ApiServer.ts',
  'services/apiserver/http/Outlet.ts',
  'services/apiserver/nodes/check.ts',
  'services/apiserver/nodes/decide.ts',
  'services/apiserver/request/authenticate.ts',
  'services/cli/commands/follow.ts',
  'services/historian/Packs.ts',
  'services/historian/SqlitePast.ts',
  'services/historian/SqliteReader.ts',
  'services/platform/Docker.ts',
  'services/platform/jetstream/consumers.ts'
]

tidy('casts past what tsc knows nowhere else', () => {
  const casting = ALL.filter((path) => topOf(path) !== 'test' && /\bas unknown as\b/.test(words(path)))
  assert.equal(
    casting.toSorted(),
    CAST_AROUND,
    'an object of a known collection is typed by `asOneOf`, a body by `decodeAs` or `undecoded`'
  )
})

tidy('introduces every module in a sentence', () => {
  const silent = ALL.filter((path) => topOf(path) !== 'test' && !/^(#![^\n]*\n)?\/\*\*/.test(text.get(path) as string))
  assert.equal(silent, [], 'each module opens with one sentence on its role')
})

tidy('leaves nothing for later in the code', () => {
  const open = ALL.filter((path) => path !== 'test/unit/tidy.test.ts' && /\b(TODO|FIXME|XXX)\b/.test(text.get(path) as string))
  assert.equal(open, [])
})

tidy.run()
