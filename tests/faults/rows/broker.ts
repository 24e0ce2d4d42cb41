// The only broker dies, stands still, or restarts: what was acknowledged is there when it is back.
import type { Row } from "../row.ts";

/** One nats-server. */
export const BROKER_ROWS: readonly Row[] = [
  {
    name: "broker-killed",
    about: "kill -9 of the only nats-server; it starts again on its data",
    mesh: {},
    faults: 8,
    short: 1,
    inject: async ({ mesh, injected, healed }) => {
      const [broker] = mesh.brokers;
      injected("kill -9 nats-server");
      await broker?.kill();
      await broker?.restart();
      healed();
      return undefined;
    },
  },
  {
    name: "broker-restarted",
    about: "a clean stop of the only nats-server, 0 to 5 s without it, and a start",
    mesh: {},
    faults: 5,
    short: 0,
    inject: async ({ mesh, random, injected, healed, lasting }) => {
      const [broker] = mesh.brokers;
      injected("SIGTERM nats-server");
      await broker?.terminate();
      await lasting(random.between(0, 5_000));
      await broker?.restart();
      healed();
      return undefined;
    },
  },
  {
    name: "broker-stopped",
    about: "SIGSTOP of the only nats-server for 0.5 to 8 s, then SIGCONT",
    mesh: {},
    faults: 6,
    short: 0,
    inject: async ({ mesh, random, injected, healed, lasting }) => {
      const [broker] = mesh.brokers;
      const ms = random.between(500, 8_000);
      injected(`SIGSTOP nats-server for ${ms} ms`);
      broker?.pause();
      await lasting(ms);
      broker?.resume();
      healed();
      return undefined;
    },
  },
];
