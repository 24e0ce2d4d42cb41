// What must hold for every setting: it can be written, it is documented, and nothing reads a variable that is not in a table.
import { globSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, test } from "vitest";
import type { Key } from "../../../lib/config/key.ts";
import { OTHER_VARIABLES } from "../../../lib/config/keys/other-variables.ts";
import { ALL_KEYS, COORDINATOR_KEYS, TABLES, WORKER_KEYS } from "../../../lib/config/keys/tables.ts";
import { SETTINGS_MARK, settingsReference } from "../../../lib/config/reference.ts";
import { strangeVariables } from "../../../lib/config/strange-variables.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
// What prepares a machine speaks of variables of npm and of Node's packages.
const SOURCES = globSync("{lib,sdk,services,cli}/**/*.ts", { cwd: ROOT }).filter(
  (file) => !file.startsWith("cli/setup/"),
);
const VARIABLES = new Set([
  ...ALL_KEYS.flatMap(({ variable, kind }) => (kind === "secret" ? [variable, `${variable}_FILE`] : [variable])),
  ...OTHER_VARIABLES.map(({ name }) => name),
]);

describe("the table of settings", () => {
  test("has each path and each variable once, and no path that is also a section", () => {
    const paths = ALL_KEYS.map(({ path }) => path);
    const variables = [...ALL_KEYS.map(({ variable }) => variable), ...OTHER_VARIABLES.map(({ name }) => name)];
    expect(repeated(paths)).toEqual([]);
    expect(repeated(variables)).toEqual([]);
    expect(paths.filter((path) => paths.some((other) => other.startsWith(`${path}.`)))).toEqual([]);
  });

  test("holds the keys of every process", () => {
    expect(ALL_KEYS.length).toBeGreaterThan(60);
    expect(new Set([...COORDINATOR_KEYS, ...WORKER_KEYS])).toEqual(new Set(ALL_KEYS));
  });

  test.for(ALL_KEYS.map((key) => [key.path, key] as const))("%s is written as all are", ([path, key]) => {
    expect(path).toMatch(/^[a-z][a-zA-Z]*(?:\.[a-z][a-zA-Z0-9]*)+$/);
    expect(key.variable).toMatch(/^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+$/);
    expect(key.doc).toMatch(/^[A-Z`].{8,}\.$/s);
    expect(`${key.allowed}${key.fallbackText}`).toMatch(/^\S.*\S$/);
  });

  test.for(ALL_KEYS.filter(hasFallback).map((key) => [key.path, key] as const))(
    "the default of %s may also be written down",
    ([, key]) => {
      const given = { value: key.show(key.fallback), folder: "/", source: { kind: "variable", name: "X" } } as const;
      expect(key.parse(given)).toEqual(key.fallback);
    },
  );
});

describe("docs/configuration.md", () => {
  const text = readFileSync(resolve(ROOT, "docs/configuration.md"), "utf8");

  test("has the reference as `mycel config docs --into docs/configuration.md` writes it", () => {
    expect(text.slice(text.indexOf(SETTINGS_MARK) + SETTINGS_MARK.length).trim()).toBe(
      settingsReference(TABLES, OTHER_VARIABLES),
    );
  });

  test("names every key and every variable", () => {
    const missing = [...ALL_KEYS.map(({ path }) => path), ...VARIABLES].filter((name) => !text.includes(`\`${name}\``));
    expect(missing).toEqual([]);
  });
});

describe("the code", () => {
  // A name in quotes, read or set, and what is read by any other name: env["X"], process.env.X.
  const NAMES =
    /"((?:MYCEL|OTEL|VAULT|OPENAI|ANTHROPIC|OLLAMA)_[A-Z0-9_]+)"|\b(?:env|environment)\s*\[\s*"([A-Z][A-Z0-9_]+)"\s*\](?!\s*=[^=])|process\.env\.([A-Z][A-Z0-9_]+)/g;
  // Streams and buckets are called so too.
  const STORES = new Set([...namesIn("lib/wire/subjects.ts"), "MYCEL_ROOM"]);

  test("speaks of no variable that is not in a table", () => {
    const files = SOURCES.filter((file) => !file.startsWith("lib/config/keys/"));
    const found = files.flatMap((file) => namesIn(file).map((name) => ({ file, name })));
    expect(found.length).toBeGreaterThan(60);
    expect(found.filter(({ name }) => !VARIABLES.has(name) && !STORES.has(name))).toEqual([]);
  });

  function namesIn(file: string): readonly string[] {
    const text = withoutComments(readFileSync(resolve(ROOT, file), "utf8"));
    return [...text.matchAll(NAMES)].flatMap((found) => found.slice(1).filter((name) => name !== undefined));
  }

  test("gets at the process's environment in main.ts files alone", () => {
    const files = SOURCES.filter((file) => !file.endsWith("main.ts")).filter((file) =>
      /(?<!`)process\.env\b(?!`)/.test(withoutComments(readFileSync(resolve(ROOT, file), "utf8"))),
    );
    expect(files).toEqual([]);
  });
});

describe("a variable that nothing reads", () => {
  test.for([
    ["MYCEL_LEAES", "MYCEL_LEASE"],
    ["MYCEL_MAX_BYTE", "MYCEL_MAX_BYTES"],
    ["MYCEL_INFERENCE_KEYFILE", "MYCEL_INFERENCE_KEY_FILE"],
  ])("%s is probably meant to be %s", ([name, near]) => {
    expect(strangeVariables({ [name!]: "x" }, ALL_KEYS)).toEqual([{ name, near }]);
  });

  test("is not spoken of if it is one, or somebody else's, or like none", () => {
    expect(strangeVariables({ MYCEL_LEASE: "x", PATHS: "x", MYCEL_INFERENCE_KEY_FILE: "x" }, ALL_KEYS)).toEqual([]);
    expect(strangeVariables({ MYCEL_SOMETHING_ELSE_ALTOGETHER: "x" }, ALL_KEYS)).toEqual([]);
  });
});

function hasFallback({ fallback }: Key): boolean {
  return fallback !== undefined && !(Array.isArray(fallback) && fallback.length === 0);
}

function repeated(names: readonly string[]): readonly string[] {
  return names.filter((name, i) => names.indexOf(name) !== i);
}

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, "");
}
