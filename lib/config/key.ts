// Owns what a setting is: where it stands in the file, which variable overrides it, what it may be and what it does.

/** What a setting holds, as the reference calls it. */
export type Kind =
  | "text"
  | "integer"
  | "duration"
  | "bytes"
  | "list"
  | "boolean"
  | "enum"
  | "address"
  | "file"
  | "folder"
  | "secret";

/** Where a value was given. */
export type Source =
  | { readonly kind: "variable"; readonly name: string }
  /** Lines and columns count from 1. */
  | { readonly kind: "file"; readonly file: string; readonly line: number; readonly column: number };

/** A value as somebody wrote it. */
export interface Given {
  /** Every scalar is text: what it means is the key's business, so that nothing is guessed from how it looks. */
  readonly value: string | readonly string[];
  /** The folder that relative paths start from: the file's, or that of the process. */
  readonly folder: string;
  readonly source: Source;
}

/** A setting. Made by the functions of kinds.ts. */
export interface Key<T = unknown> {
  /** Its place in the file, e.g. `coordinator.lease`. */
  readonly path: string;
  /** The variable that overrides the file. */
  readonly variable: string;
  readonly kind: Kind;
  /** One or more sentences: what it does. */
  readonly doc: string;
  /** What holds when nobody gives it. */
  readonly fallback: T;
  /** The fallback for people, e.g. `30s`, or what happens without a value. */
  readonly fallbackText: string;
  /** What a value must be, e.g. `a duration from 500ms to 1h, e.g. 30s`. */
  readonly allowed: string;
  /** Reads what was given. Throws {@link BadValueError}. */
  parse(given: Given): T;
  /** A value for people, as it would be written; without any secret. */
  show(value: T): string | readonly string[];
}

/** A value is not what its key allows. The message goes on after the key's name, e.g. `must be …`; it holds no secret. */
export class BadValueError extends Error {
  override readonly name = "BadValueError";
}

/** The place for people: `mycel.yaml:3:7`, or the variable. */
export function shownSource(source: Source): string {
  return source.kind === "variable" ? source.name : `${source.file}:${source.line}:${source.column}`;
}
