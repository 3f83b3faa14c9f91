/**
 * Older events, read as today's. An event says which shape it has; each change of the shape has one small step here, from a
 * shape to the next, and a reader takes all that are missing. Rewriting old events would be simpler to read, and would make an
 * audit trail of what was never written.
 *
 * The shape is the envelope's: headers, and how the object lies in the body. That an object is of an older API version is for
 * its kind (`Kind.versions`).
 */

type Headers = Readonly<Record<string, string>>

export interface Upcast {
  headers?(headers: Headers): Headers
  /** The body as it was stored, opened if it was sealed; `headers` as they were stored. */
  body?(body: string, headers: Headers): string
}

/** Steps in order: the first leads from shape 1 to shape 2. */
export const UPCASTS: readonly Upcast[] = []

/** An event without the header is of shape 1. */
export const SHAPE_HEADER = 'reckon-shape'

/** The shape that is written: what the last step leads to. */
export const shapeAfter = (steps: readonly Upcast[]): number => steps.length + 1
export const SHAPE = shapeAfter(UPCASTS)

/** An event of a shape that this version does not know. */
export class NewerShape extends Error {
  override readonly name = 'NewerShape'
}

const stepsFor = (headers: Headers, steps: readonly Upcast[]): readonly Upcast[] => {
  const text = headers[SHAPE_HEADER]
  if (text === undefined) return steps
  const shape = /^[1-9]\d{0,8}$/.test(text) ? Number(text) : Number.NaN
  if (!(shape <= shapeAfter(steps)))
    throw new NewerShape(`it has shape ${text}, and this version of reckon reads shapes up to ${shapeAfter(steps)}: run the newer one`)
  return steps.slice(shape - 1)
}

/** The headers in today's shape. Throws NewerShape. */
export const upcastHeaders = (headers: Headers, steps = UPCASTS): Headers =>
  stepsFor(headers, steps).reduce((known, step) => step.headers?.(known) ?? known, headers)

/** The body in today's shape; `headers` as they were stored. Throws NewerShape. */
export const upcastBody = (headers: Headers, body: string, steps = UPCASTS): string =>
  stepsFor(headers, steps).reduce((known, step) => step.body?.(known, headers) ?? known, body)
