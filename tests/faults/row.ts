// One row of the fault matrix: which mesh, which fault, and what is promised while it happens. Holds no results.
import type { FaultMesh, FaultMeshOptions } from "./mesh/fault-mesh.ts";
import type { Random } from "./random.ts";
import type { Mix, Workload } from "./workload/workload.ts";

/** What a fault is injected into. */
export interface Scene {
  readonly mesh: FaultMesh;
  readonly workload: Workload;
  readonly random: Random;
  /** Which fault of this run it is, from 0. */
  readonly turn: number;
  /** Writes that the fault is in force from now on. To be called once, by each fault. */
  readonly injected: (detail: string) => void;
  /** Writes that the fault is over. Of a fault that leaves nothing to work with, recovery counts from here. */
  readonly healed: () => void;
  /** Lets the fault last so long. */
  readonly lasting: (ms: number) => Promise<void>;
}

/** A row of the matrix. */
export interface Row {
  /** Names the row on the command line and in the table. */
  readonly name: string;
  /** What is done, in one sentence, for the documentation. */
  readonly about: string;
  readonly mesh: FaultMeshOptions;
  /** Which stories the clients tell. Default: all. */
  readonly mix?: Mix;
  /** What the machine must have and lacks; undefined if nothing. Default: nothing is needed. */
  readonly needs?: () => string | undefined;
  /** Faults in a full run. */
  readonly faults: number;
  /** Faults in the short form; 0 leaves the row out of it. */
  readonly short: number;
  /** Accepted tasks that must end between two faults in a full run. Default 500. */
  readonly tasksBetween?: number;
  /** Clients of the SDK see no error of an idempotent call. Default true. */
  readonly silent?: boolean;
  /** Interrupted attempts start again within the lease and 5 s of the fault. Default false. */
  readonly resumes?: boolean;
  /** Calls without any retry fail for at most so long, in milliseconds. Default: not watched. */
  readonly outageMs?: number;
  /** Injects one fault; resolves when it is over or in force. What it returns is called when the mesh has recovered. */
  readonly inject: (scene: Scene) => Promise<(() => Promise<void>) | undefined>;
}
