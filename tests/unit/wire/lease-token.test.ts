import { expect, test } from "vitest";
import { LeaseTokens, type TokenClaim } from "../../../lib/wire/lease-token.ts";

const tokens = new LeaseTokens("the secret of all coordinators");
const DISPATCH = { tenant: "acme", taskId: "t1", queue: "echo", priority: 5, attempt: 2, fence: 17 };
const CLAIM: TokenClaim = {
  tenant: "acme",
  agentId: "a",
  consumer: "acme=echo=5",
  taskId: "t1",
  attempt: 2,
  fence: 17n,
};

test("the token of a dispatch shows that it was delivered, whoever got it", () => {
  const token = tokens.ofDispatch(DISPATCH);
  expect(tokens.shows(token, CLAIM)).toBe(true);
  expect(tokens.shows(token, { ...CLAIM, agentId: "b" })).toBe(true);
  expect(new LeaseTokens("the secret of all coordinators").shows(token, CLAIM)).toBe(true);
});

test("the token of an attempt is good for the agent that began it", () => {
  const token = tokens.ofAttempt(CLAIM);
  expect(tokens.shows(token, CLAIM)).toBe(true);
  expect(tokens.shows(token, { ...CLAIM, agentId: "b" })).toBe(false);
  expect(tokens.shows(token, { ...CLAIM, tenant: "other" })).toBe(false);
});

test.for<[string, Partial<TokenClaim>]>([
  ["another task", { taskId: "t2" }],
  ["another lane", { consumer: "acme=echo=15" }],
  ["another queue", { consumer: "acme=payroll=5" }],
  ["another tenant's lane", { consumer: "other=echo=5" }],
  ["another attempt", { attempt: 3 }],
  ["another fence", { fence: 18 }],
])("neither token shows anything of %s", ([, change]) => {
  for (const token of [tokens.ofDispatch(DISPATCH), tokens.ofAttempt(CLAIM)]) {
    expect(tokens.shows(token, { ...CLAIM, ...change })).toBe(false);
  }
});

test.for(["", "d", "a", "x", "d".repeat(23), "a".repeat(23), "d".repeat(100_000)])("%o shows nothing", (token) => {
  expect(tokens.shows(token, CLAIM)).toBe(false);
});

test("neither kind of token passes for the other, and another secret makes others", () => {
  const [given, begun] = [tokens.ofDispatch(DISPATCH), tokens.ofAttempt(CLAIM)];
  expect(tokens.shows(`a${given.slice(1)}`, CLAIM)).toBe(false);
  expect(tokens.shows(`d${begun.slice(1)}`, CLAIM)).toBe(false);
  expect(new LeaseTokens("another secret").shows(given, CLAIM)).toBe(false);
});
