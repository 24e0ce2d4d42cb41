// The file in which a check of the audit log keeps what it saw, so that the next one notices what was cut off at the end.
import { readFile, rename, writeFile } from "node:fs/promises";
import type { AuditCheckpoint } from "../../lib/wire/audit-verifier.ts";
import { UsageError } from "../failure.ts";

/** What was seen of each log: the caller's tenant's, and what belongs to no tenant. */
export interface Checkpoints {
  readonly tenant?: AuditCheckpoint;
  readonly mesh?: AuditCheckpoint;
}

const FORM = "mycel.audit.checkpoint.v1";

/** Reads a file; nothing if there is none yet. Throws UsageError. */
export async function readCheckpoints(path: string): Promise<Checkpoints> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return {};
    throw new UsageError(`the checkpoint can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  const checkpoints = parsed(text);
  if (checkpoints === undefined) throw new UsageError(`${path} is no checkpoint of mycel audit verify`);
  return checkpoints;
}

/** Writes a file as a whole: what is cut short by a crash must not pass for a checkpoint. */
export async function writeCheckpoints(path: string, checkpoints: Checkpoints): Promise<void> {
  const next = `${path}.next`;
  try {
    await writeFile(next, `${JSON.stringify({ form: FORM, ...checkpoints }, undefined, 2)}\n`, { mode: 0o600 });
    await rename(next, path);
  } catch (error) {
    throw new UsageError(`the checkpoint can't be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function parsed(text: string): Checkpoints | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || value["form"] !== FORM) return undefined;
  const { tenant, mesh } = value;
  if ((tenant !== undefined && !isCheckpoint(tenant)) || (mesh !== undefined && !isCheckpoint(mesh))) return undefined;
  return { ...(tenant === undefined ? {} : { tenant }), ...(mesh === undefined ? {} : { mesh }) };
}

function isCheckpoint(value: unknown): value is AuditCheckpoint {
  if (!isRecord(value) || typeof value["tenant"] !== "string" || !Array.isArray(value["chains"])) return false;
  return value["chains"].every(
    (link) =>
      isRecord(link) &&
      typeof link["writer"] === "string" &&
      typeof link["hash"] === "string" &&
      Number.isSafeInteger(link["number"]) &&
      Number.isFinite(link["timeMs"]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
