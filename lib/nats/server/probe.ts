// Owns the question "is this file a nats-server that Mycel can use?", answered by running it with --version.
// Never installs or downloads anything.
import { constants } from "node:fs";
import { access } from "node:fs/promises";

import { run } from "./run.ts";
import { formatNatsServerVersion, isNewEnough, MINIMUM_NATS_SERVER, parseNatsServerVersion } from "./version.ts";

/** What {@link probeNatsServer} found: a usable server with its version, or the reason why not, in one clause. */
export type NatsServerProbe =
  | { readonly kind: "usable"; readonly version: string }
  | { readonly kind: "unusable"; readonly reason: string };

/** How long a binary may take to print its version; a cold disk and a busy machine need seconds, not more. */
const PROBE_TIMEOUT_MS = 10_000;

/** Runs `binary --version`. Never throws: a missing, broken, foreign or too old file is "unusable" with its reason. */
export async function probeNatsServer(binary: string): Promise<NatsServerProbe> {
  try {
    await access(binary, constants.X_OK);
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return { kind: "unusable", reason: missing ? `${binary} does not exist` : `${binary} is not executable` };
  }
  let output: string;
  try {
    output = await run(binary, ["--version"], { timeoutMs: PROBE_TIMEOUT_MS });
  } catch (error) {
    return { kind: "unusable", reason: error instanceof Error ? error.message : String(error) };
  }
  const version = parseNatsServerVersion(output);
  if (version === undefined) {
    return { kind: "unusable", reason: `${binary} --version does not answer like nats-server` };
  }
  if (!isNewEnough(version)) {
    const [found, needed] = [formatNatsServerVersion(version), formatNatsServerVersion(MINIMUM_NATS_SERVER)];
    return { kind: "unusable", reason: `${binary} is version ${found}, older than ${needed}` };
  }
  return { kind: "usable", version: formatNatsServerVersion(version) };
}
