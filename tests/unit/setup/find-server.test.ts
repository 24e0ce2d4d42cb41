// The order in which a nats-server is looked for, with small shell scripts in place of the binaries.
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

import { findNatsServer, NatsServerMissing } from "../../../lib/nats/server/find-server.ts";
import { type NatsServerRelease, releasePlatform } from "../../../lib/nats/server/release-archive.ts";

const PLATFORM = releasePlatform(process.platform, process.arch);

/** A folder for one test with an empty apt folder, and a release that does not exist anywhere. */
async function setup() {
  const room = await mkdtemp(join(tmpdir(), "mycel-find-"));
  const lines: string[] = [];
  const cacheDir = join(room, "cache");
  const nowhere: NatsServerRelease = { version: "2.15.0", baseUrl: "http://127.0.0.1:1", sha256: { [PLATFORM]: "00" } };
  return {
    room,
    lines,
    cacheDir,
    nowhere,
    fake: async (path: string, says: string): Promise<string> => {
      const file = join(room, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, `#!/bin/sh\necho '${says}'\n`);
      await chmod(file, 0o755);
      return file;
    },
    find: async (environment: Record<string, string>, release = nowhere) =>
      await findNatsServer({
        environment: { PATH: join(room, "path"), ...environment },
        cacheDir,
        release,
        aptDir: join(room, "apt"),
        report: (line) => lines.push(line),
      }),
    async [Symbol.asyncDispose](): Promise<void> {
      await rm(room, { recursive: true, force: true });
    },
  };
}

test("NATS_SERVER_BIN goes before PATH, and PATH before the cache", async () => {
  await using at = await setup();
  const chosen = await at.fake("chosen/my-server", "nats-server: v2.14.0");
  const onPath = await at.fake("path/nats-server", "nats-server: v2.15.1");
  const cached = await at.fake("cache/nats-server", "nats-server: v2.15.0");
  expect(await at.find({ NATS_SERVER_BIN: chosen })).toEqual({
    binary: chosen,
    version: "2.14.0",
    source: "NATS_SERVER_BIN",
  });
  expect(await at.find({})).toEqual({ binary: onPath, version: "2.15.1", source: "PATH" });
  await rm(onPath);
  expect(await at.find({ NATS_SERVER_BIN: "" })).toEqual({ binary: cached, version: "2.15.0", source: "cache" });
  expect(at.lines).toEqual([]);
});

test("a server on PATH that is too old is passed over, and said so", async () => {
  await using at = await setup();
  const old = await at.fake("path/nats-server", "nats-server: v2.9.10");
  await at.fake("cache/nats-server", "nats-server: v2.14.2");
  expect((await at.find({})).source).toBe("cache");
  expect(at.lines).toEqual([`nats-server: ${old} is version 2.9.10, older than 2.14.0, looking further`]);
});

test.for([
  ["missing", undefined, /missing does not exist$/],
  ["old", "nats-server: v2.10.0", /old is version 2.10.0, older than 2.14.0$/],
  ["other", "nginx/1.22", /other --version does not answer like nats-server$/],
] as const)("a NATS_SERVER_BIN that is %s is an error at once", async ([name, says, message]) => {
  await using at = await setup();
  await at.fake("path/nats-server", "nats-server: v2.15.1");
  if (says !== undefined) await at.fake(name, says);
  const failure = at.find({ NATS_SERVER_BIN: join(at.room, name) });
  await expect(failure).rejects.toThrow(NatsServerMissing);
  await expect(failure).rejects.toThrow(message);
});

test("the release archive is downloaded, checked and installed into the cache", async () => {
  await using at = await setup();
  await using release = await openRelease(at.room, "nats-server: v2.15.0");
  const found = await at.find({}, release.pinned);
  expect(found).toEqual({ binary: join(at.cacheDir, "nats-server"), version: "2.15.0", source: "release" });
  expect(await readdir(at.cacheDir)).toEqual(["nats-server"]);
  expect(at.lines.at(-1)).toContain("installed 2.15.0 from upstream's release");
  expect((await at.find({})).source).toBe("cache");
});

test("two searches at once both end with a whole binary", async () => {
  await using at = await setup();
  await using release = await openRelease(at.room, "nats-server: v2.15.0");
  const both = await Promise.all([at.find({}, release.pinned), at.find({}, release.pinned)]);
  expect(both.map(({ version }) => version)).toEqual(["2.15.0", "2.15.0"]);
  expect(await readdir(at.cacheDir)).toEqual(["nats-server"]);
});

test("an archive with another digest is never unpacked", async () => {
  await using at = await setup();
  await using release = await openRelease(at.room, "nats-server: v2.15.0");
  const wrong = { ...release.pinned, sha256: { [PLATFORM]: "ab".repeat(32) } };
  await expect(at.find({}, wrong)).rejects.toThrow(/has SHA-256 [0-9a-f]{64}, expected (ab){32}/);
  await expect(readdir(at.cacheDir)).rejects.toThrow("ENOENT");
});

test("when nothing helps, one message names each thing tried and the ways by hand", async () => {
  await using at = await setup();
  const message = await at.find({}).then(
    () => "found",
    (error: unknown) => (error instanceof NatsServerMissing ? error.message : String(error)),
  );
  expect(message.split("\n")).toEqual([
    "No nats-server 2.14.0 or newer was found. Tried:",
    "  - PATH: no nats-server on it",
    `  - cache: ${join(at.cacheDir, "nats-server")} does not exist`,
    expect.stringMatching(/^ {2}- upstream's release: 127\.0\.0\.1:1 cannot be reached: /),
    "  - Debian's package: apt on this machine has no source of the Debian archive",
    "Get it by hand in one of these ways:",
    expect.stringContaining("https://github.com/nats-io/nats-server/releases"),
    expect.stringContaining(join(at.cacheDir, "nats-server")),
    expect.stringContaining("brew install nats-server"),
    expect.stringContaining("NATS_URL"),
  ]);
});

/** Serves a release whose binary is a script, behind a redirect as GitHub's downloads are. */
async function openRelease(room: string, says: string) {
  const name = `nats-server-v2.15.0-${PLATFORM}`;
  const folder = join(room, "release", name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "nats-server"), `#!/bin/sh\necho '${says}'\n`);
  await chmod(join(folder, "nats-server"), 0o755);
  execFileSync("tar", ["-czf", join(room, "release.tar.gz"), "-C", join(room, "release"), name]);
  const archive = await readFile(join(room, "release.tar.gz"));
  const server = createServer((request, response) => {
    if (request.url === `/v2.15.0/${name}.tar.gz`) response.writeHead(302, { location: "/assets/1" }).end();
    else if (request.url === "/assets/1") response.end(archive);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  const pinned: NatsServerRelease = {
    version: "2.15.0",
    baseUrl: `http://127.0.0.1:${port}/v2.15.0`,
    sha256: { [PLATFORM]: createHash("sha256").update(archive).digest("hex") },
  };
  return { pinned, [Symbol.asyncDispose]: async () => await new Promise<void>((done) => server.close(() => done())) };
}
