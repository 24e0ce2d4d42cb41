// Owns how a configuration file becomes values with places: YAML in, one text or list of texts a key out, and a line for each mistake.
// Hostile or broken files cost little: size, nesting and aliases are bounded. What values mean is the keys' business.
import type { Stats } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument, visit } from "yaml";
import { ConfigError } from "./config-error.ts";
import type { Given, Key } from "./key.ts";
import { didYouMean } from "./nearest-name.ts";

/** The largest configuration file, in bytes. */
export const MAX_FILE_BYTES: number = 256 * 1024;
/** A file that is no configuration at all would be one mistake a line. */
const MAX_MISTAKES = 100;
const MAX_SYNTAX_ERRORS = 5;

/** What a file says. */
export interface FileValues {
  /** By the key's path. */
  readonly values: ReadonlyMap<string, Given>;
  /** One line a mistake. */
  readonly mistakes: readonly string[];
}

/** Reads a file. Throws ConfigError if there is none that can be read, or it is too large, or no text. */
export async function readConfigFile(file: string, keys: readonly Key[]): Promise<FileValues> {
  return readConfigText({ file, text: await textOf(file), folder: dirname(resolve(file)), keys });
}

/** A file's text. */
export interface ConfigText {
  /** The file's name, for messages. */
  readonly file: string;
  readonly text: string;
  /** What relative paths start from. */
  readonly folder: string;
  readonly keys: readonly Key[];
}

/** Reads a file's text. Never throws. */
export function readConfigText({ file, text, folder, keys }: ConfigText): FileValues {
  const lines = new LineCounter();
  // All scalars are text: no value is a number, a date or "no" by its looks. Repeated keys are found below, where it costs less.
  const document = parseDocument(text, {
    schema: "failsafe",
    uniqueKeys: false,
    prettyErrors: false,
    lineCounter: lines,
    logLevel: "error",
  });
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  const complaints = [...document.errors, ...document.warnings];
  if (complaints.length > 0) {
    const mistakes = complaints.slice(0, MAX_SYNTAX_ERRORS).map(({ code, message, pos: [offset] }) => {
      if (code === "RESOURCE_EXHAUSTION") return `${at(offset)}: is nested too deeply`;
      return `${at(offset)}: is not YAML that can be read here: ${message.split("\n")[0]?.slice(0, 160)}`;
    });
    return { values: new Map(), mistakes: [...new Set(mistakes)] };
  }
  const reader = new TreeReader({ file, folder, keys, lines, targets: aliasTargets(document) });
  if (document.contents !== null) reader.section(document.contents, "");
  return reader;
}

interface Tree {
  readonly file: string;
  readonly folder: string;
  readonly keys: readonly Key[];
  readonly lines: LineCounter;
  readonly targets: ReadonlyMap<Node, Node>;
}

/** Goes down the file as far as there are keys, so that the tables bound what is looked at, whatever aliases make of the tree. */
class TreeReader implements FileValues {
  readonly values = new Map<string, Given>();
  readonly mistakes: string[] = [];
  readonly #tree: Tree;
  readonly #paths: ReadonlySet<string>;
  readonly #sections: ReadonlySet<string>;

  constructor(tree: Tree) {
    this.#tree = tree;
    this.#paths = new Set(tree.keys.map(({ path }) => path));
    this.#sections = new Set([...this.#paths].flatMap(sectionsOf));
  }

  section(written: unknown, path: string): void {
    const node = this.#resolved(written);
    if (!isMap(node)) {
      const what = path === "" ? "the file" : path;
      this.#complain(written, `${what} must be a section: keys with values, each on a line of its own`);
      return;
    }
    const seen = new Set<string>();
    for (const { key, value } of node.items) {
      if (!isScalar(key) || typeof key.value !== "string") {
        this.#complain(key, "a key must be a word");
        continue;
      }
      const name = key.value;
      const child = path === "" ? name : `${path}.${name}`;
      if (seen.has(name)) this.#complain(key, `${cut(child)} is given twice`);
      else if (this.#paths.has(child)) this.#value(key, value, child);
      else if (this.#sections.has(child)) this.section(value ?? key, child);
      else if (this.mistakes.length < MAX_MISTAKES) {
        this.#complain(key, `unknown key ${cut(child)}${this.#hint(child, name)}`);
      }
      seen.add(name);
    }
  }

  #value(key: Node, written: unknown, path: string): void {
    const node = this.#resolved(written);
    if (node === undefined || (isScalar(node) && node.source === "" && node.type === "PLAIN")) {
      this.#complain(key, `${path} has no value: give it one, or remove the key`);
      return;
    }
    const value = isSeq(node) ? node.items.map((item) => this.#text(item)) : this.#text(node);
    if (value === undefined) this.#complain(written, `${path} must be a value or a list of values, is a section`);
    else if (typeof value === "string") this.#put(key, path, value);
    else if (value.every((item) => item !== undefined)) this.#put(key, path, value);
    else this.#complain(written, `${path} must be a list of plain values, has something else in it`);
  }

  #put(key: Node, path: string, value: Given["value"]): void {
    const { file, folder, lines } = this.#tree;
    const { line, col } = lines.linePos(key.range?.[0] ?? 0);
    this.values.set(path, { value, folder, source: { kind: "file", file, line, column: col } });
  }

  #text(written: unknown): string | undefined {
    const node = this.#resolved(written);
    return isScalar(node) && typeof node.value === "string" ? node.value : undefined;
  }

  #resolved(written: unknown): Node | undefined {
    if (!isNode(written)) return undefined;
    return isAlias(written) ? this.#tree.targets.get(written) : written;
  }

  /** What a key was meant to be: one of its section's, or one of another section by its own name. */
  #hint(path: string, name: string): string {
    if (name === "<<") return ": merging is not supported; give the values themselves";
    const near = didYouMean(path, [...this.#paths, ...this.#sections]);
    if (near !== "") return near;
    const elsewhere = [...this.#paths].find((known) => known.endsWith(`.${name}`));
    return elsewhere === undefined ? "" : `; did you mean ${elsewhere}?`;
  }

  #complain(node: unknown, message: string): void {
    if (this.mistakes.length >= MAX_MISTAKES) return;
    const { file, lines } = this.#tree;
    const { line, col } = lines.linePos((isNode(node) ? node.range?.[0] : undefined) ?? 0);
    this.mistakes.push(`${file}:${line}:${col}: ${message}`);
  }
}

function isNode(value: unknown): value is Node {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value);
}

/** What each alias stands for, found in one pass: the library looks through the whole document for each. */
function aliasTargets(document: Document.Parsed): ReadonlyMap<Node, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Node, Node>();
  visit(document, {
    Alias(_, alias) {
      const target = anchors.get(alias.source);
      if (target !== undefined) targets.set(alias, target);
    },
    Value(_, node) {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

function sectionsOf(path: string): readonly string[] {
  const parts = path.split(".");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("."));
}

function cut(name: string): string {
  return /^[\w.-]{1,80}$/.test(name) ? name : JSON.stringify(name.slice(0, 80));
}

async function textOf(file: string): Promise<string> {
  let facts: Stats;
  let content: Buffer;
  try {
    facts = await stat(file);
    // A pipe or a device may never end.
    if (!facts.isFile())
      throw new ConfigError(`${file} must be a file, is ${facts.isDirectory() ? "a folder" : "none"}`);
    if (facts.size > MAX_FILE_BYTES) {
      throw new ConfigError(`${file} must have ${MAX_FILE_BYTES} bytes at most, has ${facts.size}`);
    }
    content = await readFile(file);
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    throw new ConfigError(`${file} cannot be read: ${reasonOf(error)}`);
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(content);
    if (!hasControlCharacters(text)) return text;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  throw new ConfigError(`${file} must be text in UTF-8, is something else`);
}

function hasControlCharacters(text: string): boolean {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/.test(text);
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error) || !("code" in error)) return String(error);
  switch (error.code) {
    case "ENOENT":
      return "there is no such file";
    case "EACCES":
      return "permission denied";
    default:
      return String(error.code);
  }
}
