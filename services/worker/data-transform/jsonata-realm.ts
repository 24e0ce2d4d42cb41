// Gives every expression a JSONata and built-in objects of its own. The functions of JSONata are objects that an expression can change
// (a transform by a $clone that copies nothing writes to them), and the library makes them once: shared, one task's expression would work
// on the data of the next.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createContext, Script } from "node:vm";
import type { JsonValue } from "@bufbuild/protobuf";
import type jsonata from "jsonata";

/** JSONata in a realm that nothing else has a part in. */
export interface JsonataRealm {
  /** Compiles an expression. Throws what JSONata throws. */
  readonly compile: typeof jsonata;
  /** The same value, of this realm's objects. */
  readonly adopt: (value: JsonValue) => unknown;
}

interface Globals {
  readonly jsonata: typeof jsonata;
  readonly parse: (text: string) => unknown;
}

const file = createRequire(import.meta.url).resolve("jsonata");
// Compiled once; every run makes all of it anew. Without a module system the library leaves itself at `window`.
const library = new Script(
  `globalThis.window = globalThis; ${readFileSync(file, "utf8")}
  ;({ jsonata: globalThis.jsonata, parse: JSON.parse });`,
  { filename: file },
);

/** Makes a realm: some milliseconds. */
export function openJsonataRealm(): JsonataRealm {
  // What JSONata wants of a browser; strings are all that goes through.
  const given = {
    btoa: (text: string) => Buffer.from(text, "latin1").toString("base64"),
    atob: (text: string) => Buffer.from(text, "base64").toString("latin1"),
  };
  const context = createContext(given, { codeGeneration: { strings: false, wasm: false } });
  const globals: Globals = library.runInContext(context);
  return { compile: globals.jsonata, adopt: (value) => globals.parse(JSON.stringify(value)) };
}
