/** Reads calls out of source text, as far as telling which programs they start takes. */

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' }

/** The arguments of the bracket that opens at `open`, each as it is written. */
export const argumentsAt = (code: string, open: number): string[] => {
  const words: string[] = []
  const stack: string[] = []
  let begin = open + 1
  for (let at = open; at < code.length; at++) {
    const char = code[at] as string
    if (char === "'" || char === '"' || char === '`') at = endOfString(code, at)
    else if (CLOSING[char] !== undefined) stack.push(CLOSING[char])
    else if (char === stack.at(-1)) {
      stack.pop()
      if (stack.length === 0) {
        words.push(code.slice(begin, at).trim())
        break
      }
    } else if (char === ',' && stack.length === 1) {
      words.push(code.slice(begin, at).trim())
      begin = at + 1
    }
  }
  return words.filter((word) => word !== '')
}

/** Where the string that begins at `begin` ends; a template may hold code with strings in it. */
const endOfString = (code: string, begin: number): number => {
  const quote = code[begin]
  for (let at = begin + 1; at < code.length; at++) {
    if (code[at] === '\\') at++
    else if (code[at] === quote) return at
    else if (quote === '`' && code.startsWith('${', at)) {
      let depth = 0
      for (at++; at < code.length; at++) {
        const char = code[at] as string
        if (char === "'" || char === '"' || char === '`') at = endOfString(code, at)
        else if (char === '{') depth++
        else if (char === '}' && --depth === 0) break
      }
    }
  }
  return code.length
}

const KEYWORDS =
  /^(if|then|else|elif|fi|for|while|until|do|done|case|esac|in|\{|\}|!|\[|:|exec|set|unset|read|shift|cd|echo|printf|exit|return|break|continue|kill|wait|test|true|false|umask|trap)$/

/** The programs a shell script starts: words in a command's place that are neither the shell's own nor assignments. */
export const commandsOf = (script: string): string[] => {
  const own = new Set([...script.matchAll(/^\s*(\w+)\(\)/gm)].map((match) => match[1] as string))
  const lines = script
    .replace(/<<(\w+)\n[\s\S]*?\n\1\n/g, '\n')
    .replace(/^\s*#.*$/gm, '')
    // Of what is quoted only what is started in it counts.
    .replace(/(?<=[\s=(])'[^'\n]*'/g, "''")
    .replace(/"(?:[^"\\\n]|\\.)*"/g, (text) => (text.includes('$(') ? `"" ${text.slice(text.indexOf('$('), -1)}` : '""'))
    // A pattern of a `case` is no command.
    .replace(/(\bin\b|;;|^)\s*[\w*?. |-]+\)(?=\s)/gm, '$1 ')
    .replace(/\d?>+&?\s*[^\s;|&]+/g, ' ')
  const commands = lines.split(/[;\n|&]+|\$\(|'\n|\b(?:do|then|else)\s/)
  return [
    ...new Set(
      commands.flatMap((command) => {
        const words = command
          .trim()
          .split(/\s+/)
          .map((word) => word.replace(/[)'"]+$/, ''))
        if (words[0] === 'for') return []
        while (words[0] !== undefined && (/^\w+=/.test(words[0]) || ['exec', 'if', 'while', 'until', '!'].includes(words[0]))) words.shift()
        const [first = ''] = words
        return /^[a-z][\w.-]*$/.test(first) && !KEYWORDS.test(first) && !own.has(first) ? [first] : []
      })
    )
  ]
}

/** The names in a file that start a process: what it imports from Node, execa and set-up, and the wrappers it makes of them. */
const starters = (code: string): string[] => {
  const imported = [
    ...code.matchAll(/import (?:type )?\{([^}]*)\} from '(?:node:child_process|execa|[^']*setup\/project\.ts|\.\/project\.ts)'/g)
  ]
    .flatMap((match) => (match[1] ?? '').split(','))
    .map((name) => name.trim())
    .filter((name) => /^(execa|spawn|spawnSync|exec|execSync|execFile|execFileSync|fork|run|findProgram)$/.test(name))
  const wrapping = [...code.matchAll(/const (\w+) = (?:promisify\(execFile\)|\(command: string, args: readonly string\[\])/g)].map(
    (match) => match[1] as string
  )
  const methods = /execa\(file|BareSystem/.test(code) ? ['#run', '#inside', 'system.run'] : []
  const inline = imported.includes('execFile') ? ['promisify(execFile)'] : []
  return [...imported, ...wrapping, ...methods, ...inline]
}

export interface Call {
  /** A literal's content, or the expression. */
  readonly program: string
  readonly literal: boolean
}

/** A literal's content; undefined for other expressions. */
const literal = (expression: string | undefined): string | undefined => /^'([^'\\]*)'$/.exec(expression ?? '')?.[1]

const WRAPPERS = ['nsenter', 'unshare', 'setpriv', 'env']

/** The program of a command's words, and those it is told to start. */
const programsIn = (words: readonly string[]): string[] => {
  const [first, ...rest] = words
  if (first === undefined) return []
  const name = literal(first)
  if (name === 'sh' && literal(rest[0]) === '-c') {
    const script = rest[1] ?? ''
    return [first, ...(/^['`]/.test(script) ? commandsOf(script.slice(1, -1)).map((each) => `'${each}'`) : [script])]
  }
  if (name === undefined || !WRAPPERS.includes(name)) return [first]
  const inner = rest.findIndex((word) => !/^['`]-|^'\w+=/.test(word))
  return [first, ...(inner === -1 ? [] : programsIn(rest.slice(inner)))]
}

const flat = (words: readonly string[]): string[] =>
  words.flatMap((word) => (/^(\.\.\.)?\[/.test(word) ? flat(argumentsAt(word, word.indexOf('['))) : [word]))

/** The programs a module starts or looks for. */
export const callsIn = (code: string): Call[] =>
  starters(code).flatMap((starter) =>
    [
      ...code.matchAll(new RegExp(`(?<![\\w#]${starter.startsWith('#') ? '' : '|\\.'})${starter.replace(/[.()]/g, '\\$&')}\\(`, 'g'))
    ].flatMap((match): Call[] => {
      const words = flat(argumentsAt(code, match.index + match[0].length - 1))
      // Where it is defined it has types for arguments.
      if (words.length === 0 || /^\w+\??: /.test(words[0] as string)) return []
      return programsIn(words).map((word) => ({ program: literal(word) ?? word, literal: literal(word) !== undefined }))
    })
  )
