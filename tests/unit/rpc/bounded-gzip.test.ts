import { gunzipSync, gzipSync } from "node:zlib";
import { Code, ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { boundedGzip } from "../../../lib/rpc/interceptors/bounded-gzip.ts";

test("what is compressed is read back, one at a time or many", async () => {
  const gzip = boundedGzip(2);
  const texts = Array.from({ length: 50 }, (_, i) => Buffer.from(`text ${i}`.repeat(i)));
  const read = await Promise.all(texts.map(async (text) => gzip.decompress(await gzip.compress(text), 1_000_000)));
  expect(read.map((bytes) => Buffer.from(bytes).toString())).toEqual(texts.map(String));
  expect(gunzipSync(await gzip.compress(Buffer.from("x"))).toString()).toBe("x");
});

test("a bomb ends at its bound and gives its turn to the next, as garbage does", async () => {
  const gzip = boundedGzip(1);
  const bomb = gzipSync(new Uint8Array(10_000_000));
  const answers = await Promise.allSettled([
    gzip.decompress(bomb, 1_000),
    gzip.decompress(Buffer.from("garbage"), 1_000),
    gzip.decompress(gzipSync("sound"), 1_000),
    gzip.decompress(bomb, 1_000),
  ]);
  const codes = answers.map((answer) =>
    answer.status === "fulfilled" ? "OK" : Code[ConnectError.from(answer.reason).code],
  );
  expect(codes).toEqual(["ResourceExhausted", "InvalidArgument", "OK", "ResourceExhausted"]);
});

test("a bound that is none is refused", () => {
  expect(() => boundedGzip(0)).toThrow(/atOnce must be a whole number from 1, got 0/);
});
