// What is built is parsed back, and nothing else is taken for a subject.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  agentSubject,
  dispatchFilter,
  dispatchSubject,
  eventSubject,
  laneFilter,
  outputSubject,
  parseAgentSubject,
  parseDeliverySubject,
  parseFlowControlSubject,
  parseOutputSubject,
  parseTaskSubject,
  parseTimerSubject,
  parseWebhookSubject,
  taskFilter,
  timerFiredSubject,
  timerSubject,
  webhookDeliverySubject,
  webhookEndpointSubject,
  webhookHookSubject,
} from "../../../lib/wire/subjects.ts";
import { isName, MAX_TASK_ID_LENGTH, PRIORITIES } from "../../../lib/core/names.ts";

const names = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const numbers = fc.integer({ min: 1, max: 2 ** 31 - 1 });

/** Whether a NATS filter matches a subject. */
function matches(filter: string, subject: string): boolean {
  const wanted = filter.split(".");
  const tokens = subject.split(".");
  const open = wanted.at(-1) === ">";
  if (open ? tokens.length < wanted.length : tokens.length !== wanted.length) return false;
  return wanted.every((token, i) => token === "*" || token === ">" || token === tokens[i]);
}

describe("a subject that was built is parsed back", () => {
  test("of dispatches and events", () => {
    fc.assert(
      fc.property(names, names, names, fc.constantFrom(...PRIORITIES), (tenant, taskId, queue, priority) => {
        const dispatch = dispatchSubject(tenant, taskId, queue, priority);
        expect(parseTaskSubject(dispatch)).toEqual({ kind: "dispatch", tenant, taskId, queue, priority });
        const event = eventSubject(tenant, taskId);
        expect(parseTaskSubject(event)).toEqual({ kind: "event", tenant, taskId });
        for (const filter of [dispatchFilter(tenant, taskId), laneFilter(tenant, queue, priority)]) {
          expect(matches(filter, dispatch)).toBe(true);
          expect(matches(filter, event)).toBe(false);
        }
        for (const subject of [dispatch, event]) expect(matches(taskFilter(tenant, taskId), subject)).toBe(true);
      }),
    );
  });

  test("of outputs, as stored and as republished", () => {
    fc.assert(
      fc.property(names, names, names, numbers, (tenant, taskId, agentId, attempt) => {
        const expected = { tenant, taskId, agentId, attempt };
        expect(parseOutputSubject(outputSubject(tenant, taskId, agentId, attempt))).toEqual(expected);
        expect(parseOutputSubject(`live.${tenant}.${taskId}.o.${agentId}.${attempt}`)).toEqual(expected);
      }),
    );
  });

  test("of agents' requests and of timers that have fired, but not of timers that are set", () => {
    fc.assert(
      fc.property(names, names, fc.constantFrom("report", "heartbeat"), names, (tenant, id, verb, name) => {
        expect(parseAgentSubject(agentSubject(tenant, id, verb))).toEqual({ tenant, agentId: id, verb });
        expect(parseTimerSubject(timerFiredSubject(tenant, id, name))).toEqual({ tenant, taskId: id, name });
        expect(parseTimerSubject(timerSubject(tenant, id, name))).toBeUndefined();
      }),
    );
  });
});

test.for([
  "",
  ".",
  "task",
  "task.t.id",
  "task.t.id.x",
  "task.t.id.e.more",
  "task.t.id.q",
  "task.t.id.q.queue",
  "task.t.id.q.queue.5.more",
  "task.t.id.q.queue.high",
  "task.t.id.q.queue.05",
  "task.t.id.q.queue.",
  "tasks.t.id.e",
])("%j is no subject of the tasks stream", (subject) => {
  expect(parseTaskSubject(subject)).toBeUndefined();
});

// A second spelling of an attempt would be an output subject of its own, which fencing the first does not reach.
test.for(["01", "0x1", "1e0", "+1", "-1", "", "1 ", "NaN", "Infinity", "99999999999999999"])(
  "%j is no attempt of an output",
  (attempt) => {
    expect(parseOutputSubject(`out.t.id.agent.${attempt}`)).toBeUndefined();
    expect(parseOutputSubject(`live.t.id.o.agent.${attempt}`)).toBeUndefined();
  },
);

test.for(["out.t.id.agent", "out.t.id.agent.1.2", "live.t.id.e", "live.t.id.x.agent.1", "live.t.id.o.agent"])(
  "%j is no subject of an output",
  (subject) => {
    expect(parseOutputSubject(subject)).toBeUndefined();
  },
);

test.for(["mycel.agent.t.a", "mycel.agent.t.a.report.x", "mycel.signal.t.a.report", "agent.t.a.report"])(
  "%j is no request of an agent",
  (subject) => {
    expect(parseAgentSubject(subject)).toBeUndefined();
  },
);

describe("the reply subject of a delivery", () => {
  const expected = {
    stream: "MYCEL_TASKS",
    consumer: "t=echo=5",
    deliveries: 2,
    sequence: 1234,
    consumerSequence: 99,
    storedMs: 1_700_000_000_000,
    pending: 7,
  };
  const facts = "MYCEL_TASKS.t=echo=5.2.1234.99.1700000000000000000.7";

  test.for([
    ["short", `$JS.ACK.${facts}`],
    ["long", `$JS.ACK.hub.hash.${facts}.random`],
    ["long, without the random token", `$JS.ACK._.hash.${facts}`],
    ["long, with tokens that come later", `$JS.ACK.hub.hash.${facts}.random.more`],
  ])("is read in its %s form", ([, subject]) => {
    expect(parseDeliverySubject(subject!)).toEqual(expected);
  });

  test.for([
    "",
    "$JS.ACK",
    `$JS.API.${facts}`,
    `$JS.ACK.${facts}.one-too-many`,
    "$JS.ACK.S.c.2.1234.99.17",
    "$JS.ACK.S.c.0.1234.99.17.7",
    "$JS.ACK.S.c.2.0.99.17.7",
    "$JS.ACK.S.c.-2.1234.99.17.7",
    "$JS.ACK.S.c.2.0x10.99.17.7",
    "$JS.ACK.S.c..1234.99.17.7",
    "$JS.ACK.S.c.2.1e3.99.17.7",
    "$JS.ACK.S.c.2.1234.x.17.7",
    "$JS.ACK.S.c.2.1234.99.x.7",
    "$JS.ACK.S.c.2.1234.*.17.7",
    "$JS.ACK.S.c.2.1234.99.17.>",
    "$JS.ACK.S.c.2.1234.99.17.7 0",
    "$JS.ACK.S.c.2.1234.99.17.7\r\nPUB",
    "$JS.ACK.S..2.1234.99.17.7",
  ])("is not %j", (subject) => {
    expect(parseDeliverySubject(subject)).toBeUndefined();
  });
});

describe("the subject on which a push consumer waits", () => {
  test.for([
    ["short", "$JS.FC.S.c.random"],
    ["long", "$JS.FC._.hash.S.c.random"],
  ])("is read in its %s form", ([, subject]) => {
    expect(parseFlowControlSubject(subject!)).toEqual({ stream: "S", consumer: "c" });
  });

  test.for([
    "",
    "$JS.FC.S.c",
    "$JS.FC.S.c.*",
    "$JS.FC.S.c.random random",
    "$JS.FC.hash.S.c.random",
    "$JS.FC.a._.hash.S.c.random",
    "$JS.API.STREAM.DELETE.S.c.random",
    "x.$JS.FC.S.c.random",
  ])("is not %j", (subject) => {
    expect(parseFlowControlSubject(subject)).toBeUndefined();
  });
});

describe("a record of webhooks", () => {
  test("is parsed back, and taken for no other kind", () => {
    fc.assert(
      fc.property(names, names, (tenant, id) => {
        const subjects = {
          endpoint: webhookEndpointSubject(tenant, id),
          hook: webhookHookSubject(tenant, id),
          delivery: webhookDeliverySubject(tenant, id),
        } as const;
        for (const kind of ["endpoint", "hook", "delivery"] as const) {
          for (const [of, subject] of Object.entries(subjects)) {
            expect(parseWebhookSubject(subject, kind)).toEqual(of === kind ? { tenant, id } : undefined);
          }
        }
        expect(parseWebhookSubject(`hooked.${tenant}.${id}`, "hook")).toEqual({ tenant, id });
        expect(parseWebhookSubject(`hooked.${tenant}.${id}`, "delivery")).toBeUndefined();
      }),
    );
  });

  test.for(["hooked.*.t", "hooked.default.>", "hooked.default", "hooked.default.a.b", "webhook.hook.default.*", ""])(
    "is not %j",
    (subject) => {
      expect(parseWebhookSubject(subject, "hook")).toBeUndefined();
    },
  );
});

test("names are one token each, of bounded length", () => {
  for (const name of ["a", "A-9_", "x".repeat(64)]) expect(isName(name)).toBe(true);
  for (const name of ["", "a.b", "*", ">", "a b", "é", "a\n", "x".repeat(65)]) expect(isName(name)).toBe(false);
  expect(isName("x".repeat(MAX_TASK_ID_LENGTH), MAX_TASK_ID_LENGTH)).toBe(true);
});
