import { expect, test } from "vitest";
import type { TaskScope } from "../../../lib/core/access/task-scope.ts";
import { scopeFromHeader, scopeToHeader } from "../../../lib/wire/scope-codec.ts";

test.for<TaskScope>([
  { rules: [] },
  { rules: [{ types: ["echo", "code-*"], labels: { team: "ä\r\nb", "": "" } }] },
  { rules: [{ types: ["*"], labels: {} }], taskId: "t-1" },
])("a scope is what it was when it comes out of a header: %j", (scope) => {
  const header = scopeToHeader(scope);
  expect(header).toMatch(/^[A-Za-z0-9_-]+$/);
  expect(scopeFromHeader(header)).toEqual(scope);
});

test.for([
  "x",
  "null",
  "[]",
  "{}",
  '{"rules":{}}',
  '{"rules":[null]}',
  '{"rules":[{"types":"*","labels":{}}]}',
  '{"rules":[{"types":["*"]}]}',
  '{"rules":[{"types":["*"],"labels":[]}]}',
  '{"rules":[{"types":["*"],"labels":{"a":1}}]}',
  '{"rules":[],"taskId":null}',
])("what is no scope does not pass for one: %s", (text) => {
  const header = Buffer.from(text).toString("base64url");
  expect(() => scopeFromHeader(header)).toThrow(expect.objectContaining({ reason: "INVALID_REQUEST" }));
});
