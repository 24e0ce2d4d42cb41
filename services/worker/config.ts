// The stock agent's settings as its parts take them. What may be set, and how, stands in the tables of lib/config/keys.
import * as shared from "../../lib/config/keys/shared.ts";
import * as worker from "../../lib/config/keys/worker.ts";
import type { Settings } from "../../lib/config/settings.ts";

/** What an operator can set, but for language models. */
export interface WorkerConfig {
  /** Where coordinators are. */
  readonly urls: readonly string[];
  /** A name for people. */
  readonly name: string;
  /** The agent's id; given by the coordinator if undefined. */
  readonly agentId: string | undefined;
  /** How many attempts it runs at once. */
  readonly concurrency: number;
  /** Folders that tasks may read. */
  readonly allowedRoots: readonly string[];
  /** What tasks may reach beyond public addresses. */
  readonly outboundAllow: readonly string[];
  readonly logLevel: string;
}

/** The settings as the stock agent's parts take them. */
export function configOf(settings: Settings): WorkerConfig {
  return {
    urls: settings.get(worker.coordinatorUrls),
    name: settings.get(worker.name),
    agentId: settings.get(worker.agentId),
    concurrency: settings.get(worker.concurrency),
    allowedRoots: settings.get(worker.allowedRoots),
    outboundAllow: settings.get(shared.outboundAllow),
    logLevel: settings.get(shared.logLevel),
  };
}
