// Owns what Mycel knows of nats-server's version: how a binary or a running server tells it, and which is new enough.
// Pure; running the binary is the business of `probe.ts`.

/** A version of nats-server; a pre-release (`2.14.0-RC.1`) sorts before its release. */
export interface NatsServerVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** The part after the hyphen, e.g. `RC.1`; undefined for a release. */
  readonly preRelease: string | undefined;
}

/** The oldest nats-server that has what the mesh needs: schedules that can be replaced, atomic batches, delete markers. */
export const MINIMUM_NATS_SERVER: NatsServerVersion = { major: 2, minor: 14, patch: 0, preRelease: undefined };

/**
 * Reads the version out of what `nats-server --version` prints (`nats-server: v2.15.1`), or out of a bare `2.15.1`.
 * Returns undefined when the text holds none, so that some other program called nats-server is not taken for it.
 */
export function parseNatsServerVersion(text: string): NatsServerVersion | undefined {
  const match = /^(?:nats-server:\s*)?v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?$/m.exec(text.trim());
  if (match === null) return undefined;
  const [, major, minor, patch, preRelease] = match;
  return { major: Number(major), minor: Number(minor), patch: Number(patch), preRelease };
}

/** Writes a version the way nats-server does, without the `v`: `2.15.1`. */
export function formatNatsServerVersion(version: NatsServerVersion): string {
  const release = `${version.major}.${version.minor}.${version.patch}`;
  return version.preRelease === undefined ? release : `${release}-${version.preRelease}`;
}

/** Tells whether `version` is at least `minimum` (default: {@link MINIMUM_NATS_SERVER}). */
export function isNewEnough(version: NatsServerVersion, minimum: NatsServerVersion = MINIMUM_NATS_SERVER): boolean {
  if (version.major !== minimum.major) return version.major > minimum.major;
  if (version.minor !== minimum.minor) return version.minor > minimum.minor;
  if (version.patch !== minimum.patch) return version.patch > minimum.patch;
  return version.preRelease === undefined || minimum.preRelease !== undefined;
}
