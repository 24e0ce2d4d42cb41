// The file-processing task: what it finds out about files of every kind, wherever they come from, and what it refuses.
import { createHash, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, realpath, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32, deflateRawSync, gzipSync } from "node:zlib";
import { create, type JsonObject } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { create as createTar } from "tar";
import { expect, onTestFinished, test } from "vitest";
import { type Payload, PayloadSchema } from "../../../gen/mycel/v1/payload_pb.ts";
import { fileProcessingTask } from "../../../services/worker/file-processing/file-processing-task.ts";
import { listGzip } from "../../../services/worker/file-processing/tar-listing.ts";
import { TextCount } from "../../../services/worker/file-processing/text-count.ts";
import { callCapability } from "../../support/handler-call.ts";
import { zipFile } from "../../support/zip-file.ts";

const task = fileProcessingTask({ allowedRoots: [] });

async function aFolder(): Promise<string> {
  const folder = await realpath(await mkdtemp(join(tmpdir(), "mycel-files-")));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** What is found out about a content, handed in as the task's input itself. */
async function factsOf(content: Uint8Array): Promise<JsonObject> {
  const { result, failure } = await callCapability(task, content);
  expect(failure).toBeUndefined();
  return result as JsonObject;
}

const bytes = (contentType: string, data: Uint8Array): Payload =>
  create(PayloadSchema, { kind: { case: "bytes", value: { contentType, data } } });

/** A PNG of one colour, as large as its header says. */
function png(width: number, height: number): Buffer {
  const head = Buffer.alloc(25);
  head.writeUInt32BE(13, 0);
  head.write("IHDR", 4, "latin1");
  head.writeUInt32BE(width, 8);
  head.writeUInt32BE(height, 12);
  head[16] = 8;
  head.writeUInt32BE(crc32(head.subarray(4, 21)), 21);
  const end = Buffer.from("\0\0\0\0IEND\xaeB`\x82", "latin1");
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    head,
    Buffer.from("\0\0\0\0IDAT", "latin1"),
    end,
    end,
  ]);
}

test.for<[string, Uint8Array, object]>([
  ["nothing", Buffer.alloc(0), { mediaType: "text/plain", extension: "txt" }],
  ["a text", Buffer.from("hello\n"), { mediaType: "text/plain", extension: "txt" }],
  ["a JSON document", Buffer.from('{"a": [1]}'), { mediaType: "application/json", extension: "json" }],
  ["what starts like JSON", Buffer.from('{"a": '), { mediaType: "text/plain", extension: "txt" }],
  ["a PNG", png(3, 2), { mediaType: "image/png", extension: "png" }],
  [
    "an SVG",
    Buffer.from('<?xml version="1.0"?>\n<svg width="7" height="5"/>'),
    { mediaType: "image/svg+xml", extension: "svg" },
  ],
  [
    "an SVG behind comments",
    Buffer.from("<!-- a --> <!-- b --><svg/>"),
    { mediaType: "image/svg+xml", extension: "svg" },
  ],
  [
    "very many comments without one",
    Buffer.from("<!-- a --> ".repeat(5_000)),
    { mediaType: "text/plain", extension: "txt" },
  ],
  ["a PDF", Buffer.from("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "latin1"), { mediaType: "application/pdf", extension: "pdf" }],
  ["a zip", zipFile([{ path: "a" }]), { mediaType: "application/zip", extension: "zip" }],
  ["a gzip", gzipSync("a"), { mediaType: "application/gzip", extension: "gz" }],
  ["bytes of no kind", Buffer.from([1, 2, 3, 0, 255]), { mediaType: "application/octet-stream", extension: "" }],
])("the type of %s", async ([, content, type]) => {
  const facts = await factsOf(content);
  expect(facts["type"]).toEqual(type);
  expect(facts["sizeBytes"]).toBe(content.length);
});

test.for<[string, Uint8Array, object]>([
  [
    "nothing",
    Buffer.alloc(0),
    { encoding: "utf-8", byteOrderMark: false, lines: 0, words: 0, characters: 0, malformed: false },
  ],
  ["a last line without an end", Buffer.from("one two\nthree"), { lines: 2, words: 3, characters: 13 }],
  ["a last line with one", Buffer.from("one two\r\nthree\n"), { lines: 2, words: 3, characters: 15 }],
  [
    "characters of two and four bytes",
    Buffer.from("né 😀\u00a0x"),
    { encoding: "utf-8", words: 3, characters: 6, malformed: false },
  ],
  ["a mark at the start", Buffer.from("\ufeffé", "utf8"), { encoding: "utf-8", byteOrderMark: true, characters: 1 }],
  [
    "UTF-16",
    Buffer.from("\ufeffa b\n😀", "utf16le"),
    { encoding: "utf-16le", byteOrderMark: true, lines: 2, words: 3, characters: 5 },
  ],
  [
    "Windows-1252",
    Buffer.from("Les élèves étaient très fâchés de l\x92été passé à la fenêtre de l'école\n".repeat(4), "latin1"),
    { encoding: "windows-1252", lines: 4, malformed: false },
  ],
  [
    "Shift_JIS",
    Buffer.from(
      "k/qWe4zqgsyVto/NgvCDVoN0g2dKSVOCxY+Rgq2CxoKxgqSCyILogtyCt4FCir+OmoLGgqmCyIKqjayCtILBgsSCooLcgreBQgo=",
      "base64",
    ),
    { encoding: "shift_jis", lines: 1 },
  ],
  [
    "bytes that are not of its encoding, behind its start",
    Buffer.concat([Buffer.from("a ".repeat(70_000)), Buffer.from([0xff])]),
    { encoding: "utf-8", malformed: true, words: 70_001 },
  ],
])("the text facts of %s", async ([, content, text]) => {
  expect((await factsOf(content))["text"]).toMatchObject(text);
});

test("what is no text has no text facts", async () => {
  for (const content of [png(1, 1), Buffer.from([7, 0, 1]), Buffer.from("%PDF-1.7\nhello"), gzipSync("hello")]) {
    expect(await factsOf(content)).not.toHaveProperty("text");
  }
});

test("counting does not depend on where the pieces end", () => {
  const count = (content: Uint8Array, length: number): unknown => {
    const counter = new TextCount({ name: "utf-8", byteOrderMark: false });
    for (let at = 0; at < content.length; at += length) counter.add(content.subarray(at, at + length));
    return counter.counts();
  };
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom("a", "é", "😀", " ", "\n", "\t", "\u2003", "z") }),
      fc.integer({ min: 1, max: 7 }),
      (text, length) => {
        const content = Buffer.from(text);
        expect(count(content, length)).toEqual({
          encoding: "utf-8",
          byteOrderMark: false,
          lines: text === "" ? 0 : text.split("\n").length - Number(text.endsWith("\n")),
          words: text.split(/\s+/).filter(Boolean).length,
          characters: Array.from(text).length,
          malformed: false,
        });
      },
    ),
  );
});

test("the hashes that were asked for, and SHA-256 unless told otherwise", async () => {
  const content = randomBytes(600_000);
  const sum = (name: string): string => createHash(name).update(content).digest("hex");
  expect((await factsOf(content))["hashes"]).toEqual({ sha256: sum("sha256") });
  const asked = {
    content: content.toString("base64"),
    operations: ["hashes"],
    hashes: ["crc32", "md5", "sha1", "sha512"],
  };
  expect((await callCapability(task, asked)).result).toMatchObject({
    hashes: {
      crc32: crc32(content).toString(16).padStart(8, "0"),
      md5: sum("md5"),
      sha1: sum("sha1"),
      sha512: sum("sha512"),
    },
  });
});

test("the size of an image, and none of what only says that it is one", async () => {
  expect((await factsOf(png(640, 480)))["image"]).toEqual({ width: 640, height: 480, format: "png" });
  expect((await factsOf(Buffer.from('<svg width="7.4" height="5"></svg>')))["image"]).toMatchObject({
    width: 7,
    height: 5,
  });
  expect(await factsOf(png(640, 480).subarray(0, 17))).not.toHaveProperty("image");
});

const LISTED = [
  { path: "a.txt", data: Buffer.from("hello") },
  { path: "folder/" },
  { path: "../../etc/passwd", data: Buffer.from("x") },
  { path: "ünï", data: deflateRawSync(Buffer.alloc(1_000)), claimedBytes: 1_000 },
  { path: "link", data: Buffer.from("a.txt"), link: true },
];

test("a zip archive is listed by what its directory says, unsafe names too", async () => {
  expect((await factsOf(zipFile(LISTED)))["archive"]).toEqual({
    format: "zip",
    entryCount: 5,
    unpackedBytes: 1_011,
    entries: [
      { path: "a.txt", kind: "file", sizeBytes: 5, packedBytes: 5 },
      { path: "folder/", kind: "folder", sizeBytes: 0, packedBytes: 0 },
      { path: "../../etc/passwd", kind: "file", sizeBytes: 1, packedBytes: 1 },
      { path: "ünï", kind: "file", sizeBytes: 1_000, packedBytes: LISTED[3]!.data!.length },
      { path: "link", kind: "link", sizeBytes: 5, packedBytes: 5 },
    ],
  });
});

test("a tar archive is listed, packed or not", async () => {
  const folder = await aFolder();
  await mkdir(join(folder, "sub"));
  await writeFile(join(folder, "a.txt"), "hello");
  await writeFile(join(folder, "sub/b.bin"), Buffer.alloc(2_000));
  await symlink("a.txt", join(folder, "link"));
  const tar = Buffer.concat(
    await Array.fromAsync(createTar({ cwd: folder, portable: true }, ["a.txt", "sub", "link"])),
  );
  const content = {
    entryCount: 4,
    unpackedBytes: 2_005,
    entries: [
      { path: "a.txt", kind: "file", sizeBytes: 5 },
      { path: "sub/", kind: "folder", sizeBytes: 0 },
      { path: "link", kind: "link", sizeBytes: 0 },
      { path: "sub/b.bin", kind: "file", sizeBytes: 2_000 },
    ],
  };
  expect((await factsOf(tar))["archive"]).toEqual({ format: "tar", ...content });
  expect((await factsOf(gzipSync(tar)))["archive"]).toEqual({ format: "tar.gz", ...content });
});

test("what gzip packs is listed as one file with its true size", async () => {
  const named = gzipSync(Buffer.alloc(50_000));
  // As gzip(1) writes it: a flag, and the name behind the header.
  named[3] = 8;
  const packed = Buffer.concat([named.subarray(0, 10), Buffer.from("report.csv\0"), named.subarray(10)]);
  expect((await factsOf(packed))["archive"]).toEqual({
    format: "gz",
    entryCount: 1,
    unpackedBytes: 50_000,
    entries: [{ path: "report.csv", kind: "file", sizeBytes: 50_000 }],
  });
});

test.for<[string, () => Uint8Array, object]>([
  ["a zip without its end", () => zipFile(LISTED).subarray(0, 100), { format: "zip", incomplete: "MALFORMED" }],
  [
    "a gzip that is cut off",
    () => gzipSync(randomBytes(5_000)).subarray(0, 2_000),
    { format: "gz", incomplete: "MALFORMED" },
  ],
  [
    "a zip that claims to unpack to very much",
    () =>
      zipFile(
        Array.from({ length: 10 }, (_, i) => ({ path: `${i}`, data: Buffer.alloc(9), claimedBytes: 4_000_000_000 })),
      ),
    { format: "zip", entryCount: 10, unpackedBytes: 40_000_000_000 },
  ],
])("%s is told as far as it goes", async ([, content, archive]) => {
  expect((await factsOf(content()))["archive"]).toMatchObject(archive);
});

test("a gzip that unpacks to more than its bound is left there, whatever follows", async () => {
  const listing = listGzip(10, 1_000_000);
  const packed = gzipSync(Buffer.alloc(64_000_000));
  for (let at = 0; at < packed.length; at += 1_000) await listing.add(packed.subarray(at, at + 1_000));
  const { incomplete, unpackedBytes, entries } = await listing.content();
  expect(incomplete).toBe("UNPACKS_TOO_LARGE");
  expect(entries).toHaveLength(1);
  expect(unpackedBytes).toBeGreaterThan(1_000_000);
  expect(unpackedBytes).toBeLessThan(2_000_000);
});

test("what is packed twice is unpacked once, also where it looks like a tar archive", async () => {
  const inner = gzipSync(Buffer.alloc(100_000));
  // An extra field, which may hold anything, puts a tar archive's mark in its place.
  const extra = Buffer.alloc(502);
  extra.writeUInt16LE(500);
  extra.write("ustar", 257 - 10);
  inner[3] = 4;
  const packed = Buffer.concat([inner.subarray(0, 10), extra, inner.subarray(10)]);
  expect((await factsOf(gzipSync(packed)))["archive"]).toEqual({
    format: "gz",
    entryCount: 1,
    unpackedBytes: packed.length,
    entries: [{ path: "", kind: "file", sizeBytes: packed.length }],
  });
});

test("of many entries the first are listed and all are counted", async () => {
  const zip = zipFile(Array.from({ length: 300 }, (_, i) => ({ path: `${i}` })));
  const listed = async (input: object): Promise<unknown> => {
    const { result } = await callCapability(task, { content: zip.toString("base64"), ...input });
    const { entries, entryCount } = (result as { archive: { entries: unknown[]; entryCount: number } }).archive;
    return [entries.length, entryCount];
  };
  expect(await listed({})).toEqual([100, 300]);
  expect(await listed({ maxEntries: 0 })).toEqual([0, 300]);
  expect(await listed({ maxEntries: 10_000 })).toEqual([300, 300]);
});

test("only what was asked for is found out", async () => {
  const content = Buffer.from("hello").toString("base64");
  expect((await callCapability(task, { content, operations: ["image"] })).result).toEqual({
    sizeBytes: 5,
    type: { mediaType: "text/plain", extension: "txt" },
    hashes: {},
  });
});

test("a blob is read by its id, by its reference, and as the input itself; a zip among them is listed", async () => {
  const blobs = { zip: zipFile(LISTED), text: Buffer.from("a b\n".repeat(50_000)) };
  const blob = create(PayloadSchema, {
    kind: { case: "blob", value: { blobId: "text", contentType: "text/csv", sizeBytes: 200_000n } },
  });
  const expected = { sizeBytes: 200_000, text: { lines: 50_000, words: 100_000 } };
  expect((await callCapability(task, { blobId: "text" }, { blobs })).result).toMatchObject(expected);
  expect((await callCapability(task, { blob: { blobId: "text" } }, { blobs })).result).toMatchObject(expected);
  expect((await callCapability(task, blob, { blobs })).result).toMatchObject(expected);
  expect((await callCapability(task, { blobId: "zip" }, { blobs })).result).toMatchObject({
    archive: { entryCount: 5 },
  });
});

test("a file in an allowed folder is read, also by a link, and nothing else is", async () => {
  const folder = await aFolder();
  await mkdir(join(folder, "in"));
  await writeFile(join(folder, "in/a.txt"), "hello\n");
  await writeFile(join(folder, "secret.txt"), "secret");
  await symlink("a.txt", join(folder, "in/good"));
  await symlink("../secret.txt", join(folder, "in/bad"));
  const allowed = fileProcessingTask({ allowedRoots: [join(folder, "in")] });
  const failureOf = async (path: string): Promise<string | undefined> =>
    (await callCapability(allowed, { path: path.startsWith("/") ? path : join(folder, path) })).failure;
  expect((await callCapability(allowed, { path: join(folder, "in/a.txt") })).result).toMatchObject({
    text: { lines: 1 },
  });
  expect(await failureOf("in/good")).toBeUndefined();
  for (const path of ["secret.txt", "in/bad", "in/../secret.txt", "gone", "/etc/passwd", "/"]) {
    expect(await failureOf(path)).toMatch(/^PATH_NOT_ALLOWED: file .* is outside the folders this agent may read$/);
  }
  expect(await failureOf("in/gone")).toBe(`FILE_UNREADABLE: file ${join(folder, "in/gone")} cannot be read: ENOENT`);
  expect(await failureOf("in")).toBe(`FILE_UNREADABLE: file ${join(folder, "in")} cannot be read: NOT_A_FILE`);
});

test("a large file goes by in pieces, with progress, and a cancel ends it between two of them", async () => {
  const folder = await aFolder();
  const path = join(folder, "large");
  await writeFile(path, "");
  await truncate(path, 64 * 1024 ** 2);
  const allowed = fileProcessingTask({ allowedRoots: [folder] });
  const { result, progress } = await callCapability(allowed, { path });
  expect(result).toMatchObject({ sizeBytes: 64 * 1024 ** 2, type: { mediaType: "application/octet-stream" } });
  const fractions = progress.map(({ fraction }) => fraction);
  expect(fractions.length).toBeGreaterThan(10);
  expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
  expect(progress.at(-1)).toEqual({ fraction: 1, message: "67108864 of 67108864 bytes" });

  const controller = new AbortController();
  const canceled = await callCapability(
    allowed,
    { path },
    {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error("canceled")),
    },
  );
  expect(canceled.failure).toBe("HANDLER_ERROR: canceled");
  expect(canceled.progress).toHaveLength(1);
});

test.for<[string, unknown, string]>([
  ["nothing", undefined, "path: must be given, or blob, blobId or content"],
  ["a relative path", { path: "a.txt" }, "path: must be an absolute path"],
  ["an id that is none", { blobId: "a b" }, "blobId: must be 1 to 100 characters of A-Z a-z 0-9 _ -"],
  [
    "two sources",
    { path: "/a", blobId: "b" },
    "blobId: cannot stand beside path: give only one of path, blob, blobId, content",
  ],
  [
    "everything wrong",
    { path: "/a\0", operations: ["text", "size"], hashes: ["sha3"], maxEntries: 10_001, depth: 1 },
    'depth: unknown field; the fields are path, blob, blobId, content, operations, hashes, maxEntries; path: must not contain a NUL character; operations[1]: must be one of hashes, text, image, archive, is "size"; hashes[0]: must be one of sha256, sha512, sha1, md5, crc32, is "sha3"; maxEntries: must be a whole number from 0 to 10000, is 10001',
  ],
  [
    "an Any of another type",
    bytes('application/x-protobuf; messageType="a.B"', new Uint8Array()),
    "must be a mycel.tasks.v1.FileProcessingInput, is a a.B",
  ],
])("%s is refused", async ([, input, message]) => {
  expect((await callCapability(task, input)).failure).toBe(`INVALID_INPUT: invalid input: ${message}`);
});
