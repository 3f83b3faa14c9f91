/** JSON values by their shape. */

export type JsonObject = Record<string, unknown>

/** A JSON object: neither null nor a list. */
export const isObject = (value: unknown): value is JsonObject => typeof value === 'object' && value !== null && !Array.isArray(value)
