// Owns the kinds of settings: how each is read, what is said of a value that is not one, and how it is shown.
// A table entry is one call of a function here.
import { isAbsolute, resolve } from "node:path";
import { Secret } from "../secrets/secret.ts";
import {
  REFERENCE_FORMS,
  readSecretPlace,
  type SecretPlace,
  type SecretReference,
  shownPlace,
} from "../secrets/secret-reference.ts";
import { withoutCredentials } from "../secrets/redactor.ts";
import { type Address, readAddress, shownAddress } from "./address.ts";
import { BadValueError, type Given, type Key, type Kind, shownSource } from "./key.ts";
import { readAmount, readDuration, shownAmount, shownDuration } from "./units.ts";

/** What every entry says. */
export interface Entry<T> {
  /** Its place in the file, e.g. `coordinator.lease`. */
  readonly path: string;
  /** The variable that overrides the file. */
  readonly variable: string;
  /** One or more sentences: what it does. */
  readonly doc: string;
  /** What holds when nobody gives it; undefined where its absence means something. */
  readonly fallback: T;
  /** What to call the fallback, where its value says too little. */
  readonly fallbackText?: string;
}

/** An entry with bounds, both allowed. */
export interface BoundedEntry<T> extends Entry<T> {
  readonly min: number;
  readonly max: number;
}

/** Any text without line breaks. `check` throws RangeError with what the value must be, e.g. `must be a URL`. */
export function text<F extends string | undefined>(
  entry: Entry<F> & { readonly allowed?: string; readonly check?: (value: string) => void },
): Key<string | F> {
  const { allowed = "text", check } = entry;
  return made(entry, "text", allowed, (given) => checked(single(given, allowed), check), withoutCredentials);
}

/** A whole number. */
export function integer<F extends number | undefined>(
  entry: BoundedEntry<F> & { readonly oneOf?: readonly number[] },
): Key<number | F> {
  const { min, max, oneOf } = entry;
  const choice = oneOf === undefined ? "" : `: ${orList(oneOf.map(String))}`;
  const allowed = `a whole number from ${min} to ${max}${choice}`;
  const read = (given: Given): number => {
    const written = single(given, allowed);
    const value = /^[+-]?\d+$/.test(written) ? Number(written) : Number.NaN;
    if (!(value >= min && value <= max) || oneOf?.includes(value) === false) throw notAllowed(allowed, written);
    return value;
  };
  return made(entry, "integer", allowed, read, String);
}

/** A length of time, in milliseconds once read; written as `500ms`, `30s`, `1.5m`, `2h`, `7d`, or in milliseconds without a unit. */
export function duration<F extends number | undefined>(entry: BoundedEntry<F>): Key<number | F> {
  const { min, max } = entry;
  const allowed = `a duration from ${shownDuration(min)} to ${shownDuration(max)}, e.g. ${shownDuration(entry.fallback ?? max)}`;
  const read = (given: Given): number => {
    const written = single(given, allowed);
    const value = readDuration(written);
    if (value === undefined || !(value >= min && value <= max)) throw notAllowed(allowed, written);
    return value;
  };
  return made(entry, "duration", allowed, read, shownDuration);
}

/** A number of bytes; written as `512KiB`, `10GB`, or without a unit. With `unlimited`, -1 stands for no limit. */
export function bytes<F extends number | undefined>(
  entry: BoundedEntry<F> & { readonly unlimited?: boolean },
): Key<number | F> {
  const { min, max, unlimited = false } = entry;
  const most = max === Number.MAX_SAFE_INTEGER ? "up" : `to ${shownAmount(max)}`;
  const allowed = `a whole number of bytes from ${shownAmount(min)} ${most}, e.g. 64MiB${unlimited ? ", or -1 for no limit" : ""}`;
  const read = (given: Given): number => {
    const written = single(given, allowed);
    if (unlimited && written === "-1") return -1;
    const value = readAmount(written);
    if (value === undefined || !(value >= min && value <= max)) throw notAllowed(allowed, written);
    return value;
  };
  return made(entry, "bytes", allowed, read, (value) => (value === -1 ? "-1" : shownAmount(value)));
}

/** The most entries of a list. */
const MAX_ITEMS = 1_000;

/**
 * Texts: a list in the file, and in a variable what `separator` (a comma unless said otherwise) divides. Space around entries and empty
 * entries do not count. `check` throws RangeError with what is wrong.
 */
export function list<F extends readonly string[] | undefined>(
  entry: Entry<F> & {
    readonly separator?: string;
    readonly allowed?: string;
    readonly check?: (value: readonly string[]) => void;
  },
): Key<readonly string[] | F> {
  const { separator = ",", allowed = "a list of texts", check } = entry;
  const read = (given: Given): readonly string[] => {
    const parts = typeof given.value === "string" ? given.value.split(separator) : given.value;
    const items = parts.map((part) => part.trim()).filter((part) => part !== "");
    if (items.length > MAX_ITEMS)
      throw new BadValueError(`must have ${MAX_ITEMS} entries at most, has ${items.length}`);
    return checked(items, check);
  };
  return made(entry, "list", allowed, read, (items) => items.map(withoutCredentials));
}

/** Yes or no. */
export function boolean<F extends boolean | undefined>(entry: Entry<F>): Key<boolean | F> {
  const allowed = "true or false";
  const read = (given: Given): boolean => {
    const written = single(given, allowed).toLowerCase();
    if (written !== "true" && written !== "false") throw notAllowed(allowed, written);
    return written === "true";
  };
  return made(entry, "boolean", allowed, read, String);
}

/** One of some words, without regard to case. */
export function oneOf<const W extends string, F extends W | undefined>(
  words: readonly W[],
  entry: Entry<F>,
): Key<W | F> {
  const allowed = orList(words);
  const read = (given: Given): W => {
    const written = single(given, allowed);
    const word = words.find((known) => known.toLowerCase() === written.toLowerCase());
    if (word === undefined) throw notAllowed(allowed, written);
    return word;
  };
  return made(entry, "enum", allowed, read, (value) => value);
}

/** Where to listen: `host:port`, `[v6]:port`, `:port` or a port alone. */
export function address(entry: Omit<Entry<Address>, "fallbackText">): Key<Address> {
  const allowed = "an address as host:port, e.g. 127.0.0.1:8080";
  const read = (given: Given): Address => {
    const written = single(given, allowed);
    const value = readAddress(written);
    if (value === undefined) throw notAllowed(allowed, written);
    return value;
  };
  return made<Address, Address>(entry, "address", allowed, read, shownAddress);
}

/** The path of a file, absolute once read; relative ones start from the configuration file's folder. Whoever uses it looks whether it is there. */
export function file<F extends string | undefined>(entry: Entry<F>): Key<string | F> {
  return path(entry, "file");
}

/** The path of a folder; as with {@link file}. */
export function folder<F extends string | undefined>(entry: Entry<F>): Key<string | F> {
  return path(entry, "folder");
}

function path<F extends string | undefined>(entry: Entry<F>, kind: "file" | "folder"): Key<string | F> {
  const allowed = `the path of a ${kind}`;
  const read = (given: Given): string => {
    const written = single(given, allowed);
    return isAbsolute(written) ? written : resolve(given.folder, written);
  };
  return made(entry, kind, allowed, read, (value) => value);
}

/**
 * A secret. The variable holds it, or `<variable>_FILE` the path of a file that does; in the configuration file it can only be referred to,
 * so that the file itself may be shown. Read with `openSecrets`.
 */
export function secret(entry: Omit<Entry<undefined>, "fallback">): Key<SecretReference | undefined> {
  const read = (given: Given): SecretReference => {
    const written = single(given, REFERENCE_FORMS);
    const { source } = given;
    const named = source.kind === "variable" ? source.name : `${entry.path} (${shownSource(source)})`;
    let place: SecretPlace | undefined;
    checked(written, () => (place = readSecretPlace(written, given.folder)));
    if (place !== undefined) return { named, place };
    if (source.kind === "file") {
      throw new BadValueError(
        `must not hold the secret itself: use ${REFERENCE_FORMS}, or the variable ${entry.variable}`,
      );
    }
    return { named, place: { kind: "value", secret: new Secret(written) } };
  };
  const show = ({ place }: SecretReference): string => shownPlace(place);
  return made({ ...entry, fallback: undefined }, "secret", REFERENCE_FORMS, read, show);
}

function made<T, F extends T | undefined>(
  { path, variable, doc, fallback, fallbackText }: Entry<F>,
  kind: Kind,
  allowed: string,
  parse: (given: Given) => T,
  show: (value: T) => string | readonly string[],
): Key<T | F> {
  const shown = (value: T | F): string | readonly string[] => (value === undefined ? "" : show(value));
  const asText = [shown(fallback)].flat().join(",");
  return {
    path,
    variable,
    kind,
    doc,
    fallback,
    fallbackText: fallbackText ?? (asText === "" ? "none" : asText),
    allowed,
    parse,
    show: shown,
  };
}

function single({ value }: Given, allowed: string): string {
  if (typeof value !== "string") throw new BadValueError(`must be ${allowed}, is a list`);
  const written = value.trim();
  if (written === "") throw new BadValueError(`must be ${allowed}, is empty`);
  return written;
}

function checked<T>(value: T, check: ((value: T) => void) | undefined): T {
  try {
    check?.(value);
    return value;
  } catch (error) {
    if (error instanceof RangeError) throw new BadValueError(error.message);
    throw error;
  }
}

function notAllowed(allowed: string, written: string): BadValueError {
  const shown = written.length > 80 ? `${written.slice(0, 80)}…` : written;
  return new BadValueError(`must be ${allowed}, is ${JSON.stringify(withoutCredentials(shown))}`);
}

function orList(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
