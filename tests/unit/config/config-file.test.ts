import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ConfigError } from "../../../lib/config/config-error.ts";
import { type FileValues, MAX_FILE_BYTES, readConfigFile, readConfigText } from "../../../lib/config/config-file.ts";
import type { Key } from "../../../lib/config/key.ts";
import { boolean, bytes, duration, file, integer, list, oneOf, secret, text } from "../../../lib/config/kinds.ts";
import { readSettings } from "../../../lib/config/settings.ts";

const entry = (path: string): { path: string; variable: string; doc: string } => ({
  path,
  variable: `T_${path.replaceAll(".", "_").toUpperCase()}`,
  doc: "A key of this test.",
});
const name = text({ ...entry("a.name"), fallback: "nobody" });
const count = integer({ ...entry("a.count"), fallback: 3, min: 1, max: 10 });
const wait = duration({ ...entry("a.wait"), fallback: 1_000, min: 1, max: 86_400_000 });
const room = bytes({ ...entry("a.room"), fallback: 1024, min: 0, max: 2 ** 40 });
const hosts = list({ ...entry("b.hosts"), fallback: [] });
const open = boolean({ ...entry("b.open"), fallback: false });
const mode = oneOf(["fast", "safe"], { ...entry("b.mode"), fallback: "safe" });
const cert = file({ ...entry("b.cert"), fallback: undefined });
const token = secret(entry("b.token"));
const keys: readonly Key[] = [name, count, wait, room, hosts, open, mode, cert, token];

const read = (content: string): FileValues =>
  readConfigText({ file: "m.yaml", text: content, folder: "/etc/mesh", keys });
const settingsOf = (content: string, env = {}): ReturnType<typeof readSettings> =>
  readSettings({ keys, env, file: read(content) });
const mistakesOf = (content: string, env = {}): readonly string[] => {
  try {
    settingsOf(content, env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
};

describe("a configuration file", () => {
  test("gives each key its value, by its kind", () => {
    const settings = settingsOf(`
a: { name: no, count: 7, wait: 1.5m, room: 2KiB }
b:
  hosts: [one, two]
  open: true
  mode: FAST
  cert: tls/cert.pem
  token: vault:secret/mesh/one#token
`);
    expect([name, count, wait, room, hosts, open, mode, cert].map((key: Key) => settings.get(key))).toEqual([
      "no",
      7,
      90_000,
      2048,
      ["one", "two"],
      true,
      "fast",
      "/etc/mesh/tls/cert.pem",
    ]);
    expect(settings.get(token)).toEqual({
      named: "b.token (m.yaml:8:3)",
      place: { kind: "vault", mount: "secret", path: "mesh/one", field: "token" },
    });
  });

  test("may be empty", () => {
    expect(settingsOf("# nothing yet\n").get(name)).toBe("nobody");
  });

  test("yields to variables, and says where each value is from", () => {
    const settings = settingsOf("a:\n  count: 7\n  name: x\n", {
      T_A_COUNT: "8",
      T_B_HOSTS: " one ,two,",
      T_A_NAME: "",
    });
    expect([settings.get(count), settings.get(name), settings.get(hosts)]).toEqual([8, "x", ["one", "two"]]);
    expect(settings.sourceOf(count)).toEqual({ kind: "variable", name: "T_A_COUNT" });
    expect(settings.sourceOf(name)).toEqual({ kind: "file", file: "m.yaml", line: 3, column: 3 });
    expect(settings.sourceOf(wait)).toBeUndefined();
  });

  test("may name a value once and use it again", () => {
    const settings = settingsOf("a: { name: &who me }\nb: { hosts: [*who, you] }\n");
    expect(settings.get(hosts)).toEqual(["me", "you"]);
  });

  test.for<[string, string | RegExp]>([
    ["a:\n  cuont: 3\n", "m.yaml:2:3: unknown key a.cuont; did you mean a.count?"],
    ["hosts: [x]\n", "m.yaml:1:1: unknown key hosts; did you mean b.hosts?"],
    ["zebra: 1\n", "m.yaml:1:1: unknown key zebra"],
    ["a:\n  <<: *x\n", /^m\.yaml:2:3: .*merging is not supported/],
    ["a:\n  name: x\n  name: y\n", "m.yaml:3:3: a.name is given twice"],
    ["a: {}\na: {}\n", "m.yaml:2:1: a is given twice"],
    ["a:\n  name:\n", "m.yaml:2:3: a.name has no value: give it one, or remove the key"],
    ["a:\n  name: [x]\n", "m.yaml:2:3: a.name must be text, is a list"],
    ["a:\n  name: { x: y }\n", "m.yaml:2:9: a.name must be a value or a list of values, is a section"],
    ["a: 3\n", "m.yaml:1:4: a must be a section: keys with values, each on a line of its own"],
    ["- a\n", "m.yaml:1:1: the file must be a section: keys with values, each on a line of its own"],
    ["a:\n  count: 11\n", 'm.yaml:2:3: a.count must be a whole number from 1 to 10, is "11"'],
    ["a:\n  count: 0x3\n", 'm.yaml:2:3: a.count must be a whole number from 1 to 10, is "0x3"'],
    ["a:\n  wait: 2 weeks\n", 'm.yaml:2:3: a.wait must be a duration from 1ms to 1d, e.g. 1s, is "2 weeks"'],
    ["a:\n  wait: 9d\n", /must be a duration from 1ms to 1d/],
    ["a:\n  room: 0.5\n", /must be a whole number of bytes/],
    ["b:\n  open: yes\n", 'm.yaml:2:3: b.open must be true or false, is "yes"'],
    ["b:\n  mode: slow\n", 'm.yaml:2:3: b.mode must be fast or safe, is "slow"'],
    ["b:\n  hosts: [[x]]\n", "m.yaml:2:10: b.hosts must be a list of plain values, has something else in it"],
    ["a:\n  name: *nobody\n", /m\.yaml:2:3: a\.name has no value/],
    ["a:\n  name: !!js/function x\n", /^m\.yaml:2:\d+: is not YAML that can be read here: Unresolved tag/],
    ["a: 1\n---\nb: 2\n", /multiple documents/],
    ["a:\n\tname: x\n", /^m\.yaml:2:\d+: is not YAML that can be read here/],
    ["? [x]\n: y\n", /a key must be a word/],
  ])("%j is refused in one line with its place", ([content, expected]) => {
    expect(mistakesOf(content)).toEqual([
      typeof expected === "string" ? expected : (expect.stringMatching(expected) as string),
    ]);
  });

  test("tells all mistakes at once, those of variables too", () => {
    const found = mistakesOf("a: { count: 0, nam: x }\nb: { mode: x }\n", { T_A_WAIT: "soon" });
    expect(found.map((line) => line.split(" must")[0])).toEqual([
      "m.yaml:1:16: unknown key a.nam; did you mean a.name?",
      "m.yaml:1:6: a.count",
      "T_A_WAIT (a.wait)",
      "m.yaml:2:6: b.mode",
    ]);
    expect(new ConfigError(["one", "two"]).message).toBe("one (and 1 more mistake)");
  });

  test("that expands into billions of values costs what it is long", () => {
    const levels = Array.from(
      { length: 60 },
      (_, i) =>
        `x${i}: &x${i} [${Array(9)
          .fill(i === 0 ? "lol" : `*x${i - 1}`)
          .join()}]`,
    );
    const found = mistakesOf(`${levels.join("\n")}\nb: { hosts: *x59 }\n`);
    expect(found.at(-1)).toMatch(/b\.hosts must be a list of plain values/);
  });

  test("that stands for itself is no section", () => {
    expect(mistakesOf("a: &a { name: *a }\n")).toEqual([expect.stringMatching(/a\.name must be a value/)]);
    expect(mistakesOf("b: { hosts: &h [*h] }\n")).toEqual([expect.stringMatching(/plain values/)]);
  });

  test("that nests without end is refused", () => {
    expect(mistakesOf("[".repeat(100_000)).join()).toMatch(/is nested too deeply|not YAML/);
  });

  test("full of nonsense is refused in a bounded number of lines", () => {
    const junk = Array.from({ length: 20_000 }, (_, i) => `k${i}: 1`).join("\n");
    expect(mistakesOf(junk)).toHaveLength(100);
  });

  test("has no secret in it, and what should be one is not repeated", () => {
    const found = mistakesOf("b:\n  token: hunter2hunter2\n");
    expect(found).toEqual([
      "m.yaml:2:3: b.token must not hold the secret itself: use file:PATH or vault:MOUNT/PATH#FIELD, or the variable T_B_TOKEN",
    ]);
  });

  test.for(["vault:secret", "vault:secret/x", "vault:/x#y", "vault:secret/../sys/x#y", "vault:secret/a?b#c", "file:"])(
    "%s is no reference to a secret",
    (reference) => {
      expect(mistakesOf(`b:\n  token: "${reference}"\n`)).toEqual([expect.stringMatching(/^m\.yaml:2:3: b\.token /)]);
    },
  );
});

describe("a secret in a variable", () => {
  test("is one that nothing shows", () => {
    const reference = settingsOf("", { T_B_TOKEN: "hunter2hunter2" }).get(token);
    expect(JSON.stringify(reference)).not.toContain("hunter2");
    expect(reference?.place).toMatchObject({ kind: "value" });
  });

  test("may be in a file that another variable names", () => {
    const reference = settingsOf("", { T_B_TOKEN_FILE: "/run/secrets/t" }).get(token);
    expect(reference).toEqual({ named: "T_B_TOKEN_FILE", place: { kind: "file", path: "/run/secrets/t" } });
  });

  test("is not taken from both", () => {
    expect(mistakesOf("", { T_B_TOKEN_FILE: "/x", T_B_TOKEN: "hunter2hunter2" })).toEqual([
      "T_B_TOKEN and T_B_TOKEN_FILE are both set: unset one",
    ]);
  });
});

describe("reading the file", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "config-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  const put = async (content: string | Uint8Array): Promise<string> => {
    const path = join(folder, "m.yaml");
    await writeFile(path, content);
    return path;
  };

  test("starts relative paths from its folder", async () => {
    const path = await put("b: { cert: cert.pem }\n");
    const settings = readSettings({ keys, env: {}, file: await readConfigFile(path, keys) });
    expect(settings.get(cert)).toBe(join(folder, "cert.pem"));
  });

  test.for<[string, string | Uint8Array, string]>([
    ["binary junk", Uint8Array.from({ length: 500 }, (_, i) => (i * 37) % 256), "must be text in UTF-8"],
    ["a NUL", "a: { name: \0x }\n", "must be text in UTF-8"],
    ["one that is too large", "#".repeat(MAX_FILE_BYTES + 1), "bytes at most"],
  ])("%s is refused", async ([, content, message]) => {
    await expect(readConfigFile(await put(content), keys)).rejects.toThrow(message);
  });

  test("a folder, a missing file and a device are refused", async () => {
    await mkdir(join(folder, "d"));
    await expect(readConfigFile(join(folder, "d"), keys)).rejects.toThrow("must be a file, is a folder");
    await expect(readConfigFile(join(folder, "none"), keys)).rejects.toThrow("there is no such file");
    await expect(readConfigFile("/dev/zero", keys)).rejects.toThrow("must be a file");
  });
});
