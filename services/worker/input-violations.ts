// How a task's check says what is wrong with an input: one entry for each wrong field, all at once. Pure.
import type { FieldViolation } from "../../sdk/agent/index.ts";

/** Collects what is wrong with one input. A field that was left out is fine unless it is required. */
export class InputViolations {
  readonly #found: FieldViolation[] = [];

  /** What was found, in the order in which it was looked for. */
  get found(): readonly FieldViolation[] {
    return this.#found;
  }

  /** Adds a violation; `field` is the path of the field as JSON names it, e.g. `files[3]`. */
  add(field: string, description: string): void {
    this.#found.push({ field, description });
  }

  /** A field that must be given. Returns whether it is. */
  required(field: string, value: unknown): boolean {
    if (value !== undefined && value !== "") return true;
    this.add(field, "must be given");
    return false;
  }

  /** A whole number from `min` to `max`. */
  wholeNumber(field: string, value: number | undefined, min: number, max: number): void {
    if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
    this.add(field, `must be a whole number from ${min} to ${max}, is ${value}`);
  }

  /** A text of at most `max` UTF-16 code units. */
  maxLength(field: string, value: string | undefined, max: number): void {
    if (value !== undefined && value.length > max) {
      this.add(field, `must have at most ${max} characters, has ${value.length}`);
    }
  }

  /** A list of `min` to `max` items. */
  count(field: string, items: readonly unknown[], min: number, max: number): void {
    if (items.length < min || items.length > max)
      this.add(field, `must have ${min} to ${max} items, has ${items.length}`);
  }

  /** One of a closed set of words. */
  oneOf(field: string, value: string | undefined, allowed: readonly string[]): void {
    if (value === undefined || allowed.includes(value)) return;
    this.add(field, `must be one of ${allowed.join(", ")}, is ${JSON.stringify(value.slice(0, 80))}`);
  }
}
