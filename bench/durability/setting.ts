// What is compared: how many servers keep each message, and when they force it to the disk.

/** One way of running JetStream. */
export interface Setting {
  readonly replicas: 1 | 3;
  /** nats-server's `sync_interval`; undefined for its own default of two minutes. */
  readonly syncInterval: string | undefined;
}

/** All of them; the first is what others are compared with. */
export const SETTINGS: readonly [Setting, ...Setting[]] = [
  { replicas: 1, syncInterval: undefined },
  { replicas: 1, syncInterval: "1s" },
  { replicas: 1, syncInterval: "always" },
  { replicas: 3, syncInterval: undefined },
  { replicas: 3, syncInterval: "1s" },
  { replicas: 3, syncInterval: "always" },
];

/** How a setting is called: `R3, sync 1s`. */
export function nameOf({ replicas, syncInterval }: Setting): string {
  return `R${replicas}, sync ${syncInterval ?? "2m (default)"}`;
}
