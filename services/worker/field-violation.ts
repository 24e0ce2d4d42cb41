// How the stock handlers say what is wrong with an input: one entry for each wrong field, all at once. Pure.

/** One thing wrong with an input. */
export interface FieldViolation {
  /** Path of the field, e.g. `files[3]`; empty when the input as a whole is wrong. */
  readonly field: string;
  /** What is allowed, and what was found. */
  readonly description: string;
}

/** An input that was read: the typed value, or everything that is wrong with it. */
export type InputReading<T> =
  | { readonly kind: "valid"; readonly input: T }
  | { readonly kind: "invalid"; readonly violations: readonly FieldViolation[] };

/** Whether `value` is a JSON object. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** One violation for each field of `record` that is not in `known`: a misspelt option must not be ignored silently. */
export function unknownFields(record: Readonly<Record<string, unknown>>, known: readonly string[]): FieldViolation[] {
  return Object.keys(record)
    .filter((field) => !known.includes(field))
    .map((field) => ({ field, description: `unknown field; the fields are ${known.join(", ")}` }));
}

/** The violation of `value` being no whole number from `min` to `max`, or undefined when it is one. */
export function wholeNumberViolation(
  field: string,
  value: unknown,
  min: number,
  max: number,
): FieldViolation | undefined {
  if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) return undefined;
  return { field, description: `must be a whole number from ${min} to ${max}` };
}
