import { expect, test } from "vitest";
import { CallHeaders } from "../../../lib/rpc/grpc/call-headers.ts";
import { outgoing } from "../../../lib/rpc/grpc/grpc-request.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

test.for<readonly [string, (headers: Headers) => void]>([
  ["nothing done", () => undefined],
  ["a plain value set", (headers) => headers.set("traceparent", TRACEPARENT)],
  ["a value set twice", (headers) => ["a", "b"].forEach((value) => headers.set("x-value", value))],
  ["a name in another case", (headers) => headers.set("X-Value", "a")],
  ["a value with spaces around it", (headers) => headers.set("x-value", "  a b ")],
  ["an empty value", (headers) => headers.set("x-value", "")],
  ["cookies", (headers) => ["a=1", "b=2"].forEach((value) => headers.append("set-cookie", value))],
  ["a cookie set", (headers) => headers.set("set-cookie", "a=1")],
  ["set, then added to", (headers) => (headers.set("x-value", "a"), headers.append("x-value", "b"))],
  ["set, then deleted", (headers) => (headers.set("x-value", "a"), headers.delete("x-value"))],
  ["added to, then set", (headers) => (headers.append("x-value", "a"), headers.set("x-value", "b"))],
  ["a name that an object has", (headers) => headers.set("constructor", "a")],
])("headers of an answer with %s are what the web's are", ([, change]) => {
  const [ours, theirs] = [new CallHeaders(), new Headers()];
  for (const headers of [ours, theirs]) change(headers);
  for (const name of ["traceparent", "x-value", "X-Value", "set-cookie", "constructor", "absent"]) {
    expect(ours.get(name)).toBe(theirs.get(name));
  }
  expect(outgoing(ours)).toEqual(outgoing(theirs));
  expect([...ours]).toEqual([...theirs]);
});

test.for(["two\nlines", "two\r\nlines", "zero\0"])("a value that can't be sent is refused: %j", (value) => {
  expect(() => new CallHeaders().set("x-value", value)).toThrow(TypeError);
});

test("headers that came are found under any case, and those that did not come are not", () => {
  const headers = new CallHeaders({ ":path": "/a", "content-type": "application/grpc", "x-many": ["a", "b"] });
  expect(headers.get("content-type")).toBe("application/grpc");
  expect(headers.get("Content-Type")).toBe("application/grpc");
  expect(headers.get("x-many")).toBe("a, b");
  expect(headers.get("traceparent")).toBeNull();
  expect([...headers.keys()]).toEqual(["content-type", "x-many"]);
});
