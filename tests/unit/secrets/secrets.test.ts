import { chmod, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Redactor, withoutCredentials } from "../../../lib/secrets/redactor.ts";
import { Secret } from "../../../lib/secrets/secret.ts";
import { readSecretPlace, type SecretReference, shownPlace } from "../../../lib/secrets/secret-reference.ts";
import { openSecrets, type Secrets } from "../../../lib/secrets/secrets.ts";
import { createLogger } from "../../../lib/telemetry/logging.ts";
import { logLines } from "../../support/log-lines.ts";

describe("a secret", () => {
  const secret = new Secret("hunter2hunter2");

  test.for<[string, string]>([
    ["a text", String(secret)],
    ["JSON", JSON.stringify({ secret, list: [secret] })],
    ["an inspection", inspect({ secret }, { showHidden: true, depth: 9 })],
    ["its keys", Object.entries(secret).join() + Object.getOwnPropertyNames(secret).join()],
    ["a clone", inspect(Object.assign({}, secret))],
  ])("does not show in %s", ([, shown]) => {
    expect(shown).not.toContain("hunter2");
  });

  test("is told to who asks for it", () => {
    expect(secret.reveal()).toBe("hunter2hunter2");
    expect([secret.equals(new Secret("hunter2hunter2")), secret.equals(new Secret("x"))]).toEqual([true, false]);
  });
});

describe("a reference to Vault", () => {
  test.for([
    ["vault:secret/mycel#key", ["secret", "mycel", "key"]],
    ["vault:secret/a/b/c#key", ["secret", "a/b/c", "key"]],
    ["vault:teams/a/kv//mycel/keys#key", ["teams/a/kv", "mycel/keys", "key"]],
  ] as const)("%s names mount, path and field, and is shown as it was written", ([text, [mount, path, field]]) => {
    const place = readSecretPlace(text, "/")!;
    expect(place).toEqual({ kind: "vault", mount, path, field });
    expect(shownPlace(place)).toBe(text);
  });

  test.for([
    "vault:secret",
    "vault:secret//#k",
    "vault:a//b//c#k",
    "vault:/a#k",
    "vault:secret/a/#k",
    "vault:s/./a#k",
    "vault:s/a#",
    "vault:s/a%2fb#k",
  ])("%s is none", (text) => {
    expect(() => readSecretPlace(text, "/")).toThrow("must be vault:MOUNT/PATH#FIELD");
  });
});

describe("a redactor", () => {
  test.for([
    ["nats://u:pa$$w0rd@h:4222", "nats://[redacted]@h:4222"],
    ["at https://token@h/x, nats://a:b@c:1", "at https://[redacted]@h/x, nats://[redacted]@c:1"],
    ["nats://u:p@ss@h", "nats://[redacted]@h"],
    ["nats://u:p/ss@h/x", "nats://[redacted]@h/x"],
    ['{"url":"nats://u:p@h"}', '{"url":"nats://[redacted]@h"}'],
    ["mail me@x.example about http://h/", "mail me@x.example about http://h/"],
    ["no address", "no address"],
    [`Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.${"s".repeat(43)}`, "Bearer [redacted]"],
    [`stream mst_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.${"s".repeat(43)}!`, "stream [redacted]!"],
    [`seed SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY.`, "seed [redacted]."],
    [`key mk_0123456789abcdef_${"k".repeat(43)}, mk_operator_${"o".repeat(32)}`, "key [redacted], [redacted]"],
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw of hvs.CAESIJlWh1WOW4tXlbq0mDxFOXZ", "[redacted] of [redacted]"],
    [
      "subjects and SUBJECT_NAMES, mk_short, task.default.eyJ.q",
      "subjects and SUBJECT_NAMES, mk_short, task.default.eyJ.q",
    ],
  ])("makes of %s %s", ([text, cleaned]) => {
    expect(withoutCredentials(text!)).toBe(cleaned);
  });

  test("forgets what it is told to, and takes any text", () => {
    const redactor = new Redactor();
    for (const secret of ["broken \ud800 text", "token-one", "token-two"]) redactor.add(secret);
    redactor.forget("token-one");
    expect(redactor.clean("token-one token-two")).toBe("token-one [redacted]");
  });

  test("costs little for a line that a stranger made long", () => {
    const cleaned = withoutCredentials(`@${"a://".repeat(50_000)}${"-eyJ-abcdefghijkl".repeat(10_000)}`);
    expect(cleaned).toContain("a://");
  });

  test("takes out what it was told, in whatever form, the longest first, and line by line", () => {
    const redactor = new Redactor();
    for (const secret of [
      "abcdef",
      "abcdefgh",
      'quo"te\\d',
      "first line of key\nsecond line of key\n",
      "tiny",
      "a b&c=d/é",
    ]) {
      redactor.add(secret);
    }
    redactor.addUrl("nats://user:s3cr%40t-pass@h:1");
    const shown = redactor.clean(
      `abcdefgh abcdef ${JSON.stringify('quo"te\\d')} <second line of key> tiny ${encodeURIComponent("a b&c=d/é")} s3cr@t-pass s3cr%40t-pass`,
    );
    expect(shown).toBe('[redacted] [redacted] "[redacted]" <[redacted]> tiny [redacted] [redacted] [redacted]');
  });

  test("cleans the messages, stacks and causes of errors that are logged, and URLs even without it", () => {
    const redactor = new Redactor();
    redactor.add("hunter2hunter2");
    const lines: string[] = [];
    const destination = { write: (line: string): void => void lines.push(line) };
    const options = { name: "t", destination, pretty: false };
    const err = new Error("cannot reach nats://u:pass-word@h with hunter2hunter2", {
      cause: new Error("hunter2hunter2"),
    });
    const logger = createLogger({ ...options, clean: (line) => redactor.clean(line) });
    logger.error({ err, secret_id: "x1", nested: { text: "is hunter2hunter2" } }, "failed with hunter2hunter2");
    logger.child({ url: "nats://u:pass-word@h" }).info({}, "there");
    createLogger(options).info({ url: "nats://u:pass-word@h" }, "ready");
    expect(lines).toHaveLength(3);
    expect(lines.join("")).not.toMatch(/hunter2|pass-word|x1/);
    expect(lines.map((line) => JSON.parse(line))).toHaveLength(3);
  });
});

describe("a secret in a file", () => {
  let folder: string;
  let secrets: Secrets;
  const lines = logLines();
  const redactor = new Redactor();
  const at = (name: string): SecretReference => ({
    named: "MYCEL_KEY_FILE",
    place: { kind: "file", path: join(folder, name) },
  });

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "secrets-"));
    secrets = openSecrets({ redactor, logger: lines.logger, fileRefreshMs: 10 });
  });
  afterEach(async () => {
    await secrets[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  const put = (name: string, content: string | Uint8Array, mode = 0o600): Promise<void> =>
    writeFile(join(folder, name), content, { mode });

  test("is read without its line break, and followed when it is written anew, and when a link to it leads elsewhere", async () => {
    await put("one", "secret-one\n");
    await put("two", "secret-two\n");
    await symlink("one", join(folder, "key"));
    const secret = await secrets.open(at("key"));
    expect(secret.current.reveal()).toBe("secret-one");
    const next = (): Promise<string> =>
      new Promise((resolve) => {
        const stop = secret.subscribe((changed) => {
          stop();
          resolve(changed.reveal());
        });
      });
    let changed = next();
    await put("one", "secret-1st\n");
    expect(await changed).toBe("secret-1st");
    changed = next();
    await symlink("two", join(folder, "link"));
    await rename(join(folder, "link"), join(folder, "key"));
    expect(await changed).toBe("secret-two");
    expect(redactor.clean("secret-one secret-1st secret-two")).toBe("[redacted] [redacted] [redacted]");
  });

  test("stays what it was while the file is away or empty", async () => {
    await put("key", "secret-one");
    const secret = await secrets.open(at("key"));
    await put("key", "");
    await expect.poll(() => lines.of("secret cannot be read again, keeping the last one").length).toBe(1);
    await rm(join(folder, "key"));
    expect(secret.current.reveal()).toBe("secret-one");
    const changed = new Promise<Secret>((resolve) => secret.subscribe(resolve));
    await put("key", "secret-two");
    expect((await changed).reveal()).toBe("secret-two");
  });

  test("that everybody may read is used with a warning that names the file", async () => {
    await put("key", "secret-one");
    await chmod(join(folder, "key"), 0o644);
    await secrets.open(at("key"));
    await secrets.open(at("key"));
    expect(lines.of("file with a secret can be read by everybody: chmod o-r")).toEqual([
      expect.objectContaining({ level: "warn", fields: { setting: "MYCEL_KEY_FILE", file: join(folder, "key") } }),
    ]);
  });

  test.for<[string, () => Promise<unknown>, string]>([
    ["is not there", async () => {}, "cannot be read: ENOENT"],
    ["is a folder", () => mkdir(join(folder, "key")), "must be a file, is a folder"],
    ["is empty", () => put("key", " \n"), "is empty"],
    ["is binary", () => put("key", Uint8Array.of(0xff, 0xfe, 0, 1)), "must be text in UTF-8"],
    ["holds a NUL", () => put("key", "a\0b"), "must be text in UTF-8"],
    ["is huge", () => put("key", "x".repeat(70_000)), "must have \\d+ bytes at most, has 70000"],
    ["is a device", () => symlink("/dev/zero", join(folder, "key")), "must be a file, is none"],
    ["leads round in a circle", () => symlink("key", join(folder, "key")), "cannot be read: ELOOP"],
  ])("that %s keeps the process from starting", async ([, make, message]) => {
    await make();
    await expect(secrets.open(at("key"))).rejects.toThrow(
      expect.objectContaining({
        name: "SecretError",
        message: expect.stringMatching(new RegExp(`^MYCEL_KEY_FILE: .*key ${message}`)) as string,
      }),
    );
  });
});
