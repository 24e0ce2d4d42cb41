// What coordinators ask the one that holds the index.

import { MeshError } from "../core/mesh-error.ts";
import { indexSubject } from "../wire/subjects.ts";
import { HOLDER_RETRY_MS, type HolderQuestions } from "./holder-requests.ts";

/** What can be asked of the index. */
export type IndexVerb = "list_tasks" | "count_tasks" | "list_dead_letters" | "get_metrics";

/** The questions. */
export const INDEX_QUESTIONS: HolderQuestions<IndexVerb> = {
  verbs: ["list_tasks", "count_tasks", "list_dead_letters", "get_metrics"],
  subject: indexSubject,
  group: "index",
  unavailable: (why, cause) =>
    indexUnavailable(why === "it failed" ? "the index could not answer" : "no coordinator serves the index now", cause),
};

/** The error for an index that can't answer now. */
export function indexUnavailable(message: string, cause?: unknown): MeshError {
  return new MeshError("INDEX_UNAVAILABLE", message, { retryDelayMs: HOLDER_RETRY_MS, cause });
}
