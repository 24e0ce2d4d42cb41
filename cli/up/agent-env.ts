// What of a user's environment the stock agents of a local mesh get: they run handlers and read source trees, so nothing that is meant for
// coordinators alone.

import { COORDINATOR_KEYS, WORKER_KEYS } from "../../lib/config/keys/tables.ts";

type Env = Readonly<Record<string, string | undefined>>;

/** `env` without the settings of coordinators that no agent reads: the operator's key, secrets of tokens, the way to NATS, and so on. */
export function agentEnv(env: Env): Env {
  const agents = new Set(WORKER_KEYS.map(({ variable }) => variable));
  const withheld = new Set(
    COORDINATOR_KEYS.filter(({ variable }) => !agents.has(variable)).flatMap(({ variable, kind }) =>
      kind === "secret" ? [variable, `${variable}_FILE`] : [variable],
    ),
  );
  return Object.fromEntries(Object.entries(env).filter(([name]) => !withheld.has(name)));
}
