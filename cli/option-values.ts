// Reads the values of options: each parser says in one sentence what it would have accepted. Reads nothing from the process itself.
import { InvalidArgumentError } from "commander";
import { parseDuration } from "./duration.ts";

/** Parses an option that is a duration. */
export function durationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError("Write a duration like 500ms, 5s, 2m, 1h or 1d.");
  return ms;
}

/** Makes the parser of an option that is a whole number in digits, both bounds included; without an upper bound if `max` is left out. */
export function wholeNumberOption(min: number, max?: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && isWithin(value, min, max ?? Number.MAX_SAFE_INTEGER)) return value;
    const range = max === undefined ? `of at least ${min}` : `from ${min} to ${max}`;
    throw new InvalidArgumentError(`Write a whole number ${range}.`);
  };
}

/** Makes the parser of an option that is a number, such as 2 or 0.5, both bounds included. */
export function numberOption(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && isWithin(value, min, max)) return value;
    throw new InvalidArgumentError(`Write a number from ${min} to ${max}.`);
  };
}

/** Parses an option that says how many: a whole number from 1 to 999,999,999. */
export const countOption: (text: string) => number = wholeNumberOption(1, 999_999_999);

/** Parses a repeatable option of the form `key=value`. */
export function labelOption(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Write a label like team=search.");
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** Parses a repeatable option that takes any text. */
export function repeatedOption(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

/** The words that parsers of lists of words take. */
const WORDS = new WeakMap<object, readonly string[]>();

/** The words that an option's parser takes, if it takes a list of words of a closed set. */
export function wordsOf(parser: object | undefined): readonly string[] | undefined {
  return parser === undefined ? undefined : WORDS.get(parser);
}

/** Parses a repeatable option that takes comma-separated words of a closed set; hyphens and underscores are the same. */
export function wordsOption<Word extends string>(
  allowed: readonly Word[],
): (text: string, before?: readonly Word[]) => readonly Word[] {
  const spelled = (word: string): string => word.trim().replaceAll("-", "_");
  const parser = (text: string, before: readonly Word[] = []): readonly Word[] => [
    ...before,
    ...text.split(",").map((word) => {
      const found = allowed.find((one) => spelled(one) === spelled(word));
      if (found === undefined) throw new InvalidArgumentError(`Choose from ${allowed.join(", ")}.`);
      return found;
    }),
  ];
  WORDS.set(parser, allowed);
  return parser;
}

function isWithin(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}
