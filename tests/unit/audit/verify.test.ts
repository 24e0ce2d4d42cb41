// The chain of the audit log: whoever alters, takes out, doubles, moves or cuts entries is noticed, and nobody else is.
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  type AuditEntry,
  type AuditFacts,
  DECISION,
  hashOf,
  linkTo,
  nextEntry,
} from "../../../lib/wire/audit-chain.ts";
import { type AuditCheckpoint, type AuditFault, AuditVerifier } from "../../../lib/wire/audit-verifier.ts";
import { auditEntryIn, decodeAuditEntries, encodeAuditEntries } from "../../../lib/wire/audit-codec.ts";

const FACTS: AuditFacts = {
  timeMs: 1_000,
  principal: "token:ann",
  peerAddress: "10.0.0.1",
  action: "queue:admin",
  method: "mycel.v1.QueueService/PauseQueue",
  resourceType: "mycel.v1.Queue",
  resourceName: "echo",
  decision: DECISION.allowed,
  reason: "",
  count: 1,
  traceId: "",
  requestId: "",
};

/** Three chains of four entries each, the later ones behind the last of those before them, as coordinators follow one another. */
function aLog(): AuditEntry[] {
  const log: AuditEntry[] = [];
  for (const writer of ["c1", "c2", "c3"]) {
    for (let i = 0; i < 4; i += 1) {
      const last = log.at(-1);
      const facts = { ...FACTS, timeMs: 1_000 + log.length, resourceName: `q${log.length}` };
      log.push(nextEntry({ tenant: "acme", writer }, last === undefined ? undefined : linkTo(last), facts));
    }
  }
  return log;
}

function faultsOf(
  log: readonly AuditEntry[],
  keptFromMs: number = -Infinity,
  checkpoint?: AuditCheckpoint,
): readonly Pick<AuditFault, "kind" | "writer" | "number">[] {
  const verifier = new AuditVerifier("acme", keptFromMs, checkpoint);
  for (const entry of log) verifier.add(entry);
  return verifier.finish().map(({ kind, writer, number }) => ({ kind, writer, number }));
}

function checkpointOf(log: readonly AuditEntry[]): AuditCheckpoint {
  const verifier = new AuditVerifier("acme", -Infinity);
  for (const entry of log) verifier.add(entry);
  return verifier.checkpoint();
}

test("a log as it was written is whole", () => {
  expect(faultsOf(aLog())).toEqual([]);
  expect(faultsOf([])).toEqual([]);
});

test("chains that are written at the same time are whole", () => {
  const [a1, a2, a3, , ...rest] = aLog();
  const begin = nextEntry({ tenant: "acme", writer: "b" }, linkTo(a1!), FACTS);
  const next = nextEntry({ tenant: "acme", writer: "b" }, linkTo(begin), FACTS);
  expect(rest).not.toEqual([]);
  expect(faultsOf([a1!, begin, a2!, next, a3!])).toEqual([]);
});

test("an entry is hashed as the contract says", () => {
  const [, second] = aLog();
  const { previous } = second!;
  // What anybody can reckon with a shell.
  const text = `["mycel.audit.v1","acme","c1",2,1001,"token:ann","10.0.0.1","queue:admin","mycel.v1.QueueService/PauseQueue","mycel.v1.Queue","q1",1,"",1,"","","c1",1,1000,"${previous!.hash}"]`;
  expect(second!.hash).toBe(createHash("sha256").update(text).digest("hex"));
});

const ALTERATIONS: readonly [string, Partial<AuditEntry>][] = [
  ["tenant", { tenant: "other" }],
  ["time", { timeMs: 5 }],
  ["principal", { principal: "token:eve" }],
  ["address", { peerAddress: "10.0.0.2" }],
  ["action", { action: "queue:read" }],
  ["method", { method: "x" }],
  ["resource's kind", { resourceType: "x" }],
  ["resource's name", { resourceName: "x" }],
  ["decision", { decision: DECISION.refused }],
  ["reason", { reason: "x" }],
  ["count", { count: 2 }],
  ["trace", { traceId: "x" }],
  ["request", { requestId: "x" }],
  ["link's time", { previous: { writer: "c1", number: 1, timeMs: 5, hash: "" } }],
];

describe("an entry whose parts are altered is noticed:", () => {
  test.for(ALTERATIONS)("its %s", ([, change]) => {
    const log = aLog();
    log[1] = { ...log[1]!, ...change };
    expect(faultsOf(log)).toContainEqual({ kind: "altered", writer: "c1", number: 2 });
  });

  test("and it is noticed where it was hashed anew: the next one does not follow it", () => {
    const log = aLog();
    const changed = { ...log[1]!, principal: "token:eve" };
    log[1] = { ...changed, hash: hashOf(changed) };
    expect(faultsOf(log)).toEqual([{ kind: "unlinked", writer: "c1", number: 3 }]);
  });

  test("and the last of a chain that was hashed anew is noticed by the chain that begins behind it", () => {
    const log = aLog();
    const changed = { ...log[3]!, principal: "token:eve" };
    log[3] = { ...changed, hash: hashOf(changed) };
    expect(faultsOf(log)).toEqual([{ kind: "altered", writer: "c1", number: 4 }]);
  });
});

test.for(aLog().map((entry, i) => [entry.writer, entry.number, i] as const))(
  "taking out number %i of %s is noticed, except at the very end of all",
  ([, , i]) => {
    const log = aLog();
    const faults = faultsOf(log.toSpliced(i, 1));
    expect(faults.length > 0).toBe(i < log.length - 1);
  },
);

test("taking out the very last is noticed by whoever has a checkpoint", () => {
  const log = aLog();
  expect(faultsOf(log.slice(0, -1), -Infinity, checkpointOf(log))).toEqual([
    { kind: "truncated", writer: "c3", number: 4 },
  ]);
  expect(faultsOf(log.slice(0, 8), -Infinity, checkpointOf(log))).toEqual([
    { kind: "truncated", writer: "c3", number: 4 },
  ]);
  expect(faultsOf(log, -Infinity, checkpointOf(log.slice(0, 6)))).toEqual([]);
});

test("a log that was written anew from some place on is noticed by whoever has a checkpoint", () => {
  const log = aLog();
  const kept = log.slice(0, 9);
  let last = kept.at(-1)!;
  const forged = [...kept];
  for (let i = 0; i < 5; i += 1) {
    last = nextEntry({ tenant: "acme", writer: "c3" }, linkTo(last), { ...FACTS, principal: "token:eve" });
    forged.push(last);
  }
  expect(faultsOf(forged)).toEqual([]);
  expect(faultsOf(forged, -Infinity, checkpointOf(log))).toEqual([{ kind: "altered", writer: "c3", number: 4 }]);
});

test("every exchange of two neighbours is noticed", () => {
  const log = aLog();
  for (let i = 0; i < log.length - 1; i += 1) {
    const [a, b] = [log[i]!, log[i + 1]!];
    const faults = faultsOf(log.toSpliced(i, 2, b, a));
    expect(faults, `${a.writer} ${a.number}`).not.toEqual([]);
  }
});

test("an entry that comes twice is noticed", () => {
  const log = aLog();
  expect(faultsOf(log.toSpliced(6, 0, log[2]!))).toEqual([{ kind: "moved", writer: "c1", number: 3 }]);
});

test("another log put before this one is noticed", () => {
  const foreign = nextEntry({ tenant: "acme", writer: "x" }, undefined, FACTS);
  expect(faultsOf([foreign, ...aLog()])).toEqual([{ kind: "unanchored", writer: "c1", number: 1 }]);
});

test("what is old enough to be removed may be missing, and nothing else", () => {
  const log = aLog();
  // Removed up to the second entry of the second chain, which was made at 1,005.
  const rest = log.slice(6);
  expect(faultsOf(rest, 1_006)).toEqual([]);
  expect(faultsOf(rest, 1_005)).toEqual([{ kind: "missing", writer: "c2", number: 3 }]);
  expect(faultsOf(log.slice(4), 1_004)).toEqual([]);
  expect(faultsOf(log.slice(4), 1_003)).toEqual([{ kind: "unanchored", writer: "c2", number: 1 }]);
  expect(faultsOf(rest, 1_006, checkpointOf(log.slice(0, 5)))).toEqual([]);
});

test("an entry is the same after it was stored", () => {
  const log = aLog();
  const read = decodeAuditEntries(encodeAuditEntries(log))!.map(auditEntryIn);
  expect(read).toEqual(log);
  expect(faultsOf(read)).toEqual([]);
});

test("odd characters are hashed as they are stored", () => {
  const entry = nextEntry({ tenant: "acme", writer: "c1" }, undefined, { ...FACTS, resourceName: '\u2028"\u0000é🌍' });
  const [read] = decodeAuditEntries(encodeAuditEntries([entry]))!.map(auditEntryIn);
  expect(hashOf(read!)).toBe(entry.hash);
});
