/**
 * Whole objects through each kind's rules, as files: `<case>.input.yaml` → `<case>.output.yaml`. Adding a case is adding
 * an input; `RECKON_UPDATE_GOLDEN=1` writes the outputs anew.
 *
 * defaults/    an object as a client sends it → as it is stored
 * validation/  an object (a second document: the update of it) → its faults
 * tables/      objects of one kind, seen at 2026-01-02T00:00:00Z → the wide table
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { parseAllDocuments, stringify } from 'yaml'
import type { Kind } from '#events/Kind.ts'
import type { KubeObject } from '#events/KubeObject.ts'
import { validateMeta, validateMetaUpdate } from '#events/meta/ObjectMeta.ts'
import { fieldErrorBody, type FieldError } from '#events/Refusal.ts'
import { kindNamed } from '#test/support/builtIns.ts'

const NOW = '2026-01-02T00:00:00Z'

const kindOfObject = (object: KubeObject): Kind => {
  const group = object.apiVersion.includes('/') ? (object.apiVersion.split('/')[0] as string) : ''
  const kind = kindNamed(group, undefined, object.kind)
  if (kind === undefined) throw new Error(`${object.apiVersion} ${object.kind} is not a kind`)
  return kind
}

const stored = (object: KubeObject): KubeObject => {
  const kind = kindOfObject(object)
  if (kind.namespaced) object.metadata.namespace ??= 'default'
  kind.prepareForCreate?.(object, { now: NOW })
  kind.default?.(object)
  return object
}

const faults = ([object, update]: KubeObject[]): string => {
  const before = stored(object as KubeObject)
  const kind = kindOfObject(before)
  const list = (errors: readonly FieldError[]): string => errors.map((error) => `${error.field}: ${fieldErrorBody(error)}\n`).join('')
  const first = list([...validateMeta(kind, before), ...(kind.validate?.(before) ?? [])])
  if (update === undefined) return first
  if (first !== '') throw new Error(`the object to update is not valid itself:\n${first}`)
  update.metadata.namespace ??= before.metadata.namespace as string
  kind.prepareForUpdate?.(update, before, '', { now: NOW })
  kind.default?.(update)
  return list([
    ...validateMeta(kind, update),
    ...validateMetaUpdate(update, before),
    ...(kind.validate?.(update) ?? []),
    ...(kind.validateUpdate?.(update, before, '') ?? [])
  ])
}

const table = (objects: KubeObject[]): string => {
  const kind = kindOfObject(objects[0] as KubeObject)
  const rows = [
    (kind.columns ?? []).map(({ name }) => name.toUpperCase()),
    ...objects.map((object) => (kind.row?.(object, Date.parse(NOW)) ?? []).map(String))
  ]
  const widths = (rows[0] as string[]).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] as number))
          .join('   ')
          .trimEnd()}\n`
    )
    .join('')
}

const VIEWS: Readonly<Record<string, (objects: KubeObject[]) => string>> = {
  defaults: (objects) => objects.map((object) => stringify(stored(object), { lineWidth: 0 })).join('---\n'),
  validation: faults,
  tables: table
}

for (const [folder, view] of Object.entries(VIEWS)) {
  const golden = suite(folder)
  for (const file of readdirSync(join(import.meta.dirname, folder)).filter((name) => name.endsWith('.input.yaml'))) {
    golden(file.replace('.input.yaml', ''), () => {
      const input = join(import.meta.dirname, folder, file)
      const output = input.replace('.input.yaml', folder === 'defaults' ? '.output.yaml' : '.output.txt')
      const text = view(parseAllDocuments(readFileSync(input, 'utf8')).map((document) => document.toJS() as KubeObject))
      if (process.env['RECKON_UPDATE_GOLDEN'] === '1') writeFileSync(output, text)
      assert.ok(existsSync(output), `${output} is missing: run with RECKON_UPDATE_GOLDEN=1 and read what it writes`)
      assert.fixture(text, readFileSync(output, 'utf8'))
    })
  }
  golden.run()
}
