// What coordinators ask the one that delivers webhooks.

import { MeshError } from "../core/mesh-error.ts";
import { webhooksSubject } from "../wire/subjects.ts";
import { HOLDER_RETRY_MS, type HolderQuestions } from "./holder-requests.ts";

/** What can be asked of the holder. */
export type WebhookVerb = "list_deliveries" | "redeliver";

/** The questions. */
export const WEBHOOK_QUESTIONS: HolderQuestions<WebhookVerb> = {
  verbs: ["list_deliveries", "redeliver"],
  subject: webhooksSubject,
  group: "webhooks",
  unavailable: (why, cause) =>
    webhooksUnavailable(
      why === "it failed" ? "webhooks could not be looked at" : "no coordinator delivers webhooks now",
      cause,
    ),
};

/** The error for webhooks that nobody looks after now. */
export function webhooksUnavailable(message: string, cause?: unknown): MeshError {
  return new MeshError("WEBHOOKS_UNAVAILABLE", message, { retryDelayMs: HOLDER_RETRY_MS, cause });
}
