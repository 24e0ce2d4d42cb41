// The audit log as the command reads it: all of it, page by page, or as it is written, over as many connections as that takes.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AuditEntry } from "../../gen/mycel/v1/audit_pb.ts";
import type { AuditFilterSchema } from "../../gen/mycel/v1/audit_service_pb.ts";
import { pause } from "../../lib/time/pause.ts";
import { msFromTimestamp } from "../../lib/wire/time-codec.ts";
import { type MycelClient, MycelError } from "../../sdk/client/index.ts";

/** Entries of one page, and from when on all are kept. */
export interface AuditPage {
  readonly entries: readonly AuditEntry[];
  /** In milliseconds since 1970; -Infinity if nothing is ever removed. */
  readonly keptFromMs: number;
}

/** What to follow. */
export interface FollowedAudit {
  readonly filter: MessageInitShape<typeof AuditFilterSchema>;
  /** How many of the newest entries come first. */
  readonly newest: number;
  /** What belongs to no tenant instead of the caller's tenant. */
  readonly mesh: boolean;
}

const PAGE_SIZE = 1_000;

/** How long to wait before the log is asked for anew, in milliseconds, and how long to go on trying. */
const RETRY_MS = 500;
const PATIENCE_MS = 60_000;

/** The whole log, the oldest entries first. */
export async function* wholeAudit(client: MycelClient, mesh: boolean, signal: AbortSignal): AsyncGenerator<AuditPage> {
  let pageToken = "";
  do {
    const request = { oldestFirst: true, pageSize: PAGE_SIZE, pageToken, mesh };
    const { entries, nextPageToken, keptFromTime } = await client.audit.listAuditEntries(request, { signal });
    yield { entries, keptFromMs: msFromTimestamp(keptFromTime) ?? -Infinity };
    pageToken = nextPageToken;
  } while (pageToken !== "");
}

/** The newest entries that match, the oldest of them first. */
export async function newestAudit(
  client: MycelClient,
  { filter, newest, mesh }: FollowedAudit,
  signal: AbortSignal,
): Promise<readonly AuditEntry[]> {
  const found: AuditEntry[] = [];
  let pageToken = "";
  do {
    const pageSize = Math.min(newest - found.length, PAGE_SIZE);
    const page = await client.audit.listAuditEntries({ filter, pageSize, pageToken, mesh }, { signal });
    found.push(...page.entries);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && found.length < newest);
  return found.toReversed();
}

/** What is written, as it is; ends by its signal, or when no coordinator answers for a minute. */
export async function* followAudit(
  client: MycelClient,
  { filter, newest, mesh }: FollowedAudit,
  signal: AbortSignal,
): AsyncGenerator<AuditEntry> {
  let cursor = "";
  let brokenMs: number | undefined;
  for (;;) {
    try {
      for await (const message of client.audit.watchAudit({ filter, cursor, newest, mesh }, { signal })) {
        brokenMs = undefined;
        yield* message.entries;
        cursor = message.cursor;
      }
    } catch (error) {
      if (!(error instanceof MycelError) || error.code !== "unavailable") throw error;
      brokenMs ??= performance.now();
      if (performance.now() - brokenMs > PATIENCE_MS) throw error;
    }
    await pause(RETRY_MS, signal);
  }
}
