// Checks of this machine: the runtime, and NATS or the means to run it. Installs nothing.
import * as natsTlsKeys from "../../lib/config/keys/nats-tls.ts";
import { readSettings } from "../../lib/config/settings.ts";
import { natsTlsOf } from "../../lib/config/tls-settings.ts";
import { findNatsServer } from "../../lib/nats/server/find-server.ts";
import { NatsUnavailableError, openNats } from "../../lib/nats/connection.ts";
import { coordinatorCredentials } from "../../lib/nats/trust/trust-folder.ts";
import type { Found } from "./check.ts";

const MINIMUM_NODE = 24;
const NATS_TIMEOUT_MS = 3_000;

/** Whether Node runs this project. */
export function checkNode(): Found {
  const { node } = process.versions;
  if (Number(node.split(".")[0]) >= MINIMUM_NODE) return { state: "ok", text: `Node ${node}` };
  return { state: "broken", text: `Node ${node} is too old`, advice: `Install Node ${MINIMUM_NODE} or newer.` };
}

/** Whether NATS can be reached (NATS_URL) or run here. */
export async function checkNats(env: Readonly<Record<string, string | undefined>>): Promise<Found> {
  const url = env["NATS_URL"];
  if (url !== undefined && url !== "") return await checkRunningNats(url, env);
  const missing = new Error("there is none");
  try {
    // An aborted search looks at what is here and stops before it would download anything.
    const { binary, version } = await findNatsServer({ environment: env, signal: AbortSignal.abort(missing) });
    return { state: "ok", text: `nats-server ${version} at ${binary}` };
  } catch (error) {
    if (error !== missing)
      return { state: "broken", text: firstLine(error), advice: "Correct or unset NATS_SERVER_BIN." };
    return {
      state: "skipped",
      text: "no nats-server on this machine",
      advice: '"mycel up" downloads one; or set NATS_URL to a running one.',
    };
  }
}

async function checkRunningNats(url: string, env: Readonly<Record<string, string | undefined>>): Promise<Found> {
  const trustDir = env["MYCEL_NATS_TRUST"] || undefined;
  const credentialsFile = trustDir === undefined ? undefined : coordinatorCredentials(trustDir);
  try {
    const tls = natsTlsOf(readSettings({ keys: Object.values(natsTlsKeys), env }));
    const options = { servers: url, tls, credentialsFile, name: "mycel-doctor", connectTimeoutMs: NATS_TIMEOUT_MS };
    const connection = await openNats(options);
    const version = connection.info?.version ?? "of unknown version";
    await connection.close();
    return { state: "ok", text: `nats-server ${version} at ${withoutSecret(url)}` };
  } catch (error) {
    const isRefused = error instanceof NatsUnavailableError && error.code === "NATS_REFUSED";
    // It is there, and right to refuse whoever does not say who they are.
    if (isRefused && trustDir === undefined)
      return { state: "skipped", text: firstLine(error), advice: "Set MYCEL_NATS_TRUST to a coordinator's folder." };
    if (isRefused) return { state: "broken", text: firstLine(error), advice: "Correct MYCEL_NATS_TRUST, or NATS_URL." };
    return {
      state: "broken",
      text: firstLine(error),
      advice: "Start that server with JetStream, or correct NATS_URL.",
    };
  }
}

// A URL may carry a password; output ends up in bug reports.
function withoutSecret(url: string): string {
  return url.replaceAll(/\/\/[^@/,]*@/g, "//");
}

function firstLine(error: unknown): string {
  return withoutSecret((error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "");
}
