// The settings of a stock agent alone. One entry a key.
import { delimiter } from "node:path";
import type { Key } from "../key.ts";
import { integer, list, text } from "../kinds.ts";

export const coordinatorUrls: Key<readonly string[]> = list({
  path: "worker.urls",
  variable: "MYCEL_URL",
  fallback: ["http://127.0.0.1:8080"],
  allowed: "a list of URLs",
  doc: "Where coordinators are; any of them will do. The `mycel` command knows them by the same variable.",
});

export const name: Key<string> = text({
  path: "worker.name",
  variable: "MYCEL_AGENT_NAME",
  fallback: "stock",
  doc: "A name for people.",
});

export const agentId: Key<string | undefined> = text({
  path: "worker.id",
  variable: "MYCEL_AGENT_ID",
  fallback: undefined,
  fallbackText: "given by the coordinator",
  doc: "The agent's id, for one that is to be recognised after a restart. Unique in the mesh.",
});

export const concurrency: Key<number> = integer({
  path: "worker.concurrency",
  variable: "MYCEL_CONCURRENCY",
  fallback: 4,
  min: 1,
  max: 1_000,
  doc: "How many attempts it runs at once.",
});

export const allowedRoots: Key<readonly string[]> = list({
  path: "worker.allowedRoots",
  variable: "MYCEL_ALLOWED_ROOTS",
  fallback: [],
  separator: delimiter,
  allowed: "a list of folders",
  doc: "Folders that `code-analysis` and `file-processing` may read. The variable divides them as PATH does.",
});
