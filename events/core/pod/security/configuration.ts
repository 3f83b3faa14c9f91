/** Pod Security's configuration, as upstream's PodSecurityConfiguration: what holds without labels, and for whom nothing does. */
import { badValue, duplicate, unsupported } from '#events/meta/faults.ts'
import { labelName, subdomainName } from '#events/meta/names.ts'
import type { FieldError } from '#events/Refusal.ts'
import { BAD_LEVEL, BAD_VERSION, LATEST, MODES, parseLevel, parseVersion, PRIVILEGED, type LevelVersion, type Policy } from './policy.ts'

export interface Exemptions {
  readonly usernames: readonly string[]
  readonly namespaces: readonly string[]
  readonly runtimeClasses: readonly string[]
}

export interface PodSecurity {
  /** For what a namespace's labels don't say. */
  readonly defaults: Policy
  readonly exemptions: Exemptions
}

export const NO_EXEMPTIONS: PodSecurity = { defaults: PRIVILEGED, exemptions: { usernames: [], namespaces: [], runtimeClasses: [] } }

/** As an operator writes it; what is left out is `privileged`, `latest` and nobody. */
export interface PodSecurityConfiguration {
  readonly defaults?: Readonly<Partial<Record<`${(typeof MODES)[number]}${'' | '-version'}`, string>>>
  readonly exemptions?: Partial<Exemptions>
}

const isNames = (value: unknown): value is readonly string[] => Array.isArray(value) && value.every((name) => typeof name === 'string')

const readNames = (given: unknown, field: string, check: (name: string) => readonly string[], faults: FieldError[]): readonly string[] => {
  if (given === undefined) return []
  if (!isNames(given)) {
    faults.push(badValue(field, given, 'must be a list of strings'))
    return []
  }
  const seen = new Set<string>()
  given.forEach((name, index) => {
    const messages = check(name)
    if (messages.length > 0) faults.push(badValue(`${field}[${index}]`, name, messages.join(', ')))
    else if (seen.has(name)) faults.push(duplicate(`${field}[${index}]`, name))
    seen.add(name)
  })
  return given
}

const checkFields = (given: object | undefined, known: readonly string[], path: string, faults: FieldError[]): void => {
  for (const field of Object.keys(given ?? {})) if (!known.includes(field)) faults.push(unsupported(`${path}${field}`, field, known))
}

/** The configuration, or what is wrong with it: a mistake here would open the cluster, so nothing is guessed. */
export const readPodSecurity = (
  given: PodSecurityConfiguration
): { readonly configuration: PodSecurity } | { readonly faults: readonly FieldError[] } => {
  const faults: FieldError[] = []
  checkFields(given, ['defaults', 'exemptions'], '', faults)
  checkFields(
    given.defaults,
    MODES.flatMap((mode) => [mode, `${mode}-version`]),
    'defaults.',
    faults
  )
  checkFields(given.exemptions, ['usernames', 'namespaces', 'runtimeClasses'], 'exemptions.', faults)
  const of = (mode: (typeof MODES)[number]): LevelVersion => {
    const [levelText, versionText] = [given.defaults?.[mode] ?? 'privileged', given.defaults?.[`${mode}-version`] ?? 'latest']
    const [level, version] = [parseLevel(levelText), parseVersion(versionText)]
    if (level === undefined) faults.push(badValue(`defaults.${mode}`, levelText, BAD_LEVEL))
    if (version === undefined) faults.push(badValue(`defaults.${mode}-version`, versionText, BAD_VERSION))
    return { level: level ?? 'restricted', version: version ?? LATEST }
  }
  const defaults = { enforce: of('enforce'), audit: of('audit'), warn: of('warn') }
  const exemptions = {
    usernames: readNames(
      given.exemptions?.usernames,
      'exemptions.usernames',
      (name) => (name === '' ? ['username must not be empty'] : []),
      faults
    ),
    namespaces: readNames(given.exemptions?.namespaces, 'exemptions.namespaces', labelName, faults),
    runtimeClasses: readNames(given.exemptions?.runtimeClasses, 'exemptions.runtimeClasses', subdomainName, faults)
  }
  return faults.length > 0 ? { faults } : { configuration: { defaults, exemptions } }
}
