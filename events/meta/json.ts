/** JSON values by their shape. */

export type JsonObject = Record<string, unknown>

/** A JSON object: neither null nor a list. */
export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Sets an own property whatever it is called: `__proto__` is a name like others in what clients send. */
export const put = (target: JsonObject, key: string, value: unknown): void => {
  if (key === '__proto__') Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true })
  else target[key] = value
}

/** An own property's value: `constructor` is a name like others, too. */
export const own = (object: JsonObject, key: string): unknown => (Object.hasOwn(object, key) ? object[key] : undefined)
