// What `mycel up` is told.

/** Where the coordinator listens. */
export const DEFAULT_LISTEN = "127.0.0.1:8080";
/** How many tasks each agent runs at once: there are several, on one machine. */
export const DEFAULT_CONCURRENCY = 2;
/**
 * Nothing that was accepted is lost when a process is killed, whatever this is; when the machine itself fails, the last second may be. To
 * lose nothing then either costs a wait for the disk in each step of a task, which a mesh for trying things out should not have to pay.
 */
export const DEFAULT_SYNC = "1s";

/** The flags, as the command's help explains them. */
export interface UpOptions {
  readonly path?: string;
  readonly once?: boolean;
  readonly job: boolean;
  readonly port?: number;
  readonly listen?: string;
  readonly config?: string;
  readonly agents: number;
  readonly concurrency?: number;
  readonly data: string;
  readonly sync?: string;
}
