// What every view is drawn from.
import type { Followed } from "../data/task-follower.ts";
import type { Snapshot } from "../data/snapshot.ts";
import type { Size } from "../state/layout.ts";
import type { Model } from "../state/model.ts";

/** Everything that a frame shows. */
export interface View {
  readonly snapshot: Snapshot;
  readonly model: Model;
  readonly size: Size;
  /** By which ages are told, in milliseconds since 1970. */
  readonly nowMs: number;
  /** The time of day, as it stands in the header. */
  readonly clock: string;
  /** The time between two looks, in milliseconds. */
  readonly refreshMs: number;
  /** How far back the metrics reach, in milliseconds. */
  readonly windowMs: number;
  /** The shown task; undefined on other screens. */
  readonly followed: Followed | undefined;
  /** The grpcurl calls that tell what the screen shows. */
  readonly calls: readonly string[];
}
