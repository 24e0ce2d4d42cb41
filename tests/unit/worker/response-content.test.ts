// What the body of a response becomes in the result of a webhook task.
import { toJson } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { beginningOf, contentOf } from "../../../services/worker/webhook/response-content.ts";

function contents(body: string | Uint8Array, contentType?: string, truncated = false): unknown {
  const content = contentOf({ bytes: Buffer.from(body), contentType, truncated });
  if (content.case === undefined) return "nothing";
  if (content.case === "json") return { json: toJson(ValueSchema, content.value as Value) };
  return { [content.case]: content.case === "bytes" ? Buffer.from(content.value).toString("latin1") : content.value };
}

const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);

test.for<[string, string | Uint8Array, string | undefined, unknown]>([
  ["nothing", "", "application/json", "nothing"],
  ["an object", '{"a":[1,null]}', "application/json", { json: { a: [1, null] } }],
  ["null", "null", "application/json; charset=utf-8", { json: null }],
  ["a number of a named format", "7", "application/problem+json", { json: 7 }],
  ["JSON in capitals", "true", "Application/JSON;charset=UTF-8", { json: true }],
  ["what is no JSON", "{", "application/json", { text: "{" }],
  ["JSON as deep as a result may be", nested(28), "application/json", { json: JSON.parse(nested(28)) }],
  ["JSON that is deeper", nested(29), "application/json", { text: nested(29) }],
  ["JSON that is far too deep", nested(100_000), "application/json", { text: nested(100_000) }],
  ["a number that no result can hold", "[1e999]", "application/json", { text: "[1e999]" }],
  ["a text", "grüße", "text/html", { text: "grüße" }],
  ["XML", "<a/>", "application/atom+xml", { text: "<a/>" }],
  ["a text of another charset", Buffer.from([0xe9]), "text/plain; charset=iso-8859-1", { text: "é" }],
  ["a quoted charset", Buffer.from([0xe9]), 'text/plain; charset="latin1"', { text: "é" }],
  ["an unknown charset", "a", "text/plain; charset=klingon", { bytes: "a" }],
  ["a text that is none", Buffer.from([0xff]), "text/plain", { bytes: "\u00ff" }],
  ["an image", "a", "image/png", { bytes: "a" }],
  ["no type and UTF-8", "é", undefined, { text: "é" }],
  ["no type and a NUL", "a\0", undefined, { bytes: "a\0" }],
  ["no type and no UTF-8", Buffer.from([0xff]), undefined, { bytes: "\u00ff" }],
])("%s", ([, body, type, expected]) => {
  expect(contents(body, type)).toEqual(expected);
});

test("a JSON field called __proto__ harms nothing", () => {
  const content = contents('{"__proto__":{"polluted":1}}', "application/json");
  expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  expect(JSON.stringify(content)).toContain("__proto__");
});

test("what was cut off is a text up to the last whole character, and never JSON", () => {
  expect(contents(Buffer.from("é!é").subarray(0, 4), "text/plain", true)).toEqual({ text: "é!" });
  expect(contents("[1]", "application/json", true)).toEqual({ text: "[1]" });
});

test("a failure quotes the beginning of a text and nothing of bytes", () => {
  const quote = (text: string, contentType: string): string =>
    beginningOf({ bytes: Buffer.from(text), truncated: false, contentType }, 3);
  expect([quote("abcdef", "text/plain"), quote('{"a":1}', "application/json"), quote("abc", "image/png")]).toEqual([
    "abc",
    '{"a',
    "",
  ]);
});
