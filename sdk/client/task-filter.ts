// Which tasks to list or count, as a caller says it, and reading a list page by page.
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TaskFilterSchema } from "../../gen/mycel/v1/agent_service_pb.ts";
import { TASK_STATES, type TaskState } from "../../lib/core/task-state.ts";
import { stateToWire } from "../../lib/wire/state-codec.ts";
import { invalidOption } from "./mycel-error.ts";
import type { CallOptions } from "./resilience/call-limits.ts";
import { timestamp } from "./submission.ts";

/** Which tasks. A task must satisfy everything that is set. */
export interface TaskFilterOptions {
  /** In one of these states. */
  readonly states?: readonly TaskState[];
  /** Of one of these types. */
  readonly types?: readonly string[];
  /** Last run by this agent. */
  readonly agentId?: string;
  /** With all of these labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** In this queue. */
  readonly queue?: string;
  /** Created at or after this time. */
  readonly createdFrom?: Date;
  /** Created before this time. */
  readonly createdUntil?: Date;
}

/** How to read a list. The limits are those of each page, which is a call. */
export interface ListOptions extends CallOptions {
  /** How many a page has. From 1 to 1,000; default: the server's. */
  readonly pageSize?: number;
}

/** The filter for the wire. */
export function filterOf(filter: TaskFilterOptions): MessageInitShape<typeof TaskFilterSchema> {
  const { states = [], types = [], agentId = "", labels = {}, queue = "", createdFrom, createdUntil } = filter;
  for (const state of states) {
    if (!TASK_STATES.includes(state)) {
      throw invalidOption("states", `must be some of ${TASK_STATES.join(", ")}, got ${JSON.stringify(state)}`);
    }
  }
  return {
    states: states.map(stateToWire),
    types: [...types],
    agentId,
    labels: { ...labels },
    queue,
    ...(createdFrom === undefined ? {} : { createTimeFrom: timestamp("createdFrom", createdFrom) }),
    ...(createdUntil === undefined ? {} : { createTimeUntil: timestamp("createdUntil", createdUntil) }),
  };
}

/** Reads a list page by page, the next one only when it is wanted. */
export async function* pagesOf<Page extends { readonly nextPageToken: string }, Item>(
  fetch: (pageToken: string) => Promise<Page>,
  items: (page: Page) => readonly Item[],
): AsyncGenerator<Item, void, undefined> {
  let pageToken = "";
  do {
    const page = await fetch(pageToken);
    yield* items(page);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
