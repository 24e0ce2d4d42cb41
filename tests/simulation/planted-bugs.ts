// Bugs that somebody could write, each planted into coordinators by changing one thing that they work with.
import type { TaskEvent } from "../../gen/mycel/v1/task_log_pb.ts";
import { TASKS_STREAM } from "../../lib/wire/subjects.ts";
import { decodeDispatch, encodeDispatch, type TaskRecord } from "../../lib/wire/task-codec.ts";
import type { PlantedBug } from "./mesh/planted-bug.ts";

/** The bugs by what is wrong. */
export const PLANTED_BUGS: Readonly<Record<string, PlantedBug>> = {
  "the broker checks no expectations": { ignoresExpectations: true },

  "a delivery is acknowledged before its event is stored": {
    desk: (desk, connection) => ({
      answer: (from, request) => {
        for (const { delivery, kind } of request.reports) {
          if (kind.case !== "begin") connection.publish(delivery, new TextEncoder().encode("+ACK"));
        }
        return desk.answer(from, request);
      },
    }),
  },

  "attempts are not counted": {
    log: (log) =>
      changed(log, {
        read: async (...query) => asFirstAttempt(await log.read(...query)),
        readLatest: async (...query) => asFirstAttempt(await log.readLatest(...query)),
      }),
  },

  "a write that conflicts is repeated with the newest token": {
    log: (log) =>
      changed(log, {
        append: async (task, draft, context, expected, trace) => {
          const outcome = await log.append(task, draft, context, expected, trace);
          if (outcome.kind === "stored") return outcome;
          const newest = (await log.readLatest(task.tenant, task.taskId))?.event?.sequence ?? 0;
          return log.append(task, draft, context, newest, trace);
        },
      }),
  },

  "a redelivery is taken for a first delivery": {
    desk: (desk) => ({
      answer: (from, request) => {
        for (const report of request.reports) {
          if (report.kind.case !== "begin") continue;
          report.kind.value.redelivery = false;
          report.delivery = report.delivery.replace(/^((?:[^.]+\.){4})\d+/, "$11");
        }
        return desk.answer(from, request);
      },
    }),
  },

  "nobody waits until a timer is set": {
    timers: (timers) =>
      changed(timers, {
        set: async (...timer) => {
          timers.set(...timer).catch(() => undefined);
        },
      }),
  },

  "a timer is thrown away on the word of a replica": {
    log: (log) => changed(log, { readLatest: (tenant, taskId) => log.read(tenant, taskId) }),
  },

  "whoever takes a lease away forgets the outputs": {
    outputs: (outputs) =>
      changed(outputs, {
        fence: async (...attempt) => {
          await outputs.fence(...attempt);
          return 0;
        },
      }),
  },

  "no answer is taken for a yes": {
    publisher: (publisher) =>
      changed(publisher, {
        publish: async (message) => {
          const outcome = await publisher.publish(message);
          return outcome.kind === "unknown" ? { kind: "stored", sequence: 1 } : outcome;
        },
      }),
  },

  "the last attempt may start without being recorded": {
    log: (log) =>
      changed(log, {
        dispatch: (draft, expected) => {
          const body = encodeDispatch({ ...decodeDispatch(draft.body), beginRequired: false });
          return log.dispatch({ ...draft, body }, expected);
        },
      }),
  },

  "a withdrawn task loses its definition": {
    log: (log, { manager }) =>
      changed(log, {
        withdraw: async ({ dispatch }) => {
          await manager.streams.deleteMessage(TASKS_STREAM, dispatch.sequence, false);
        },
      }),
  },
};

function changed<T extends object>(target: T, changes: Partial<T>): T {
  return new Proxy(target, {
    get: (of, key) => {
      if (key in changes) return Reflect.get(changes, key);
      const value: unknown = Reflect.get(of, key, of);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
}

function asFirstAttempt(record: TaskRecord | undefined): TaskRecord | undefined {
  if (record?.event === undefined) return record;
  const message: TaskEvent = { ...record.event.message, attempt: 1 };
  return { ...record, event: { ...record.event, message } };
}
