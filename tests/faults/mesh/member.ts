// What can be done to one process of a mesh, whatever its role. Only the shape: processes are node-member.ts, brokers broker.ts.
import type { LinkProxy } from "./link-proxy.ts";

/** A kind of connection between two parties of a mesh. */
export type Link = "client-coordinator" | "agent-coordinator" | "coordinator-broker" | "agent-broker" | "broker-broker";

/** What a process is. */
export type Role = "agent" | "coordinator" | "broker";

/** One process of a mesh, which may be gone and come back. */
export interface Member {
  readonly name: string;
  readonly role: Role;
  /** The process that runs now, or that ended last. */
  readonly pid: number;
  readonly running: boolean;
  /** Resolves with the exit code of the process that runs now, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
  /** Ends it as a crash would (SIGKILL); resolves when it is gone. Does nothing if it is. */
  kill(): Promise<void>;
  /** Stops it where it stands (SIGSTOP): its sockets stay open and say nothing. */
  pause(): void;
  /** Lets it go on after {@link Member.pause}. */
  resume(): void;
  /** Asks it to stop (SIGTERM) and resolves with how it ended. An agent or coordinator that is paused hears of it when it is resumed. */
  terminate(): Promise<number | NodeJS.Signals | null>;
  /**
   * Starts it again with the same name, port, data and settings, and resolves when it is ready; one that still runs is killed first.
   * `env` is added for this start only. Rejects with its last output when it ends before it is ready.
   */
  restart(env?: Readonly<Record<string, string>>): Promise<void>;
  /**
   * Sets its wall clock forward by `ms`, or back if negative, from where it is now; resolves when that is in force. The monotonic clock
   * goes on undisturbed. A restart brings the true time back. Not for brokers.
   */
  jumpClock(ms: number): Promise<void>;
  /**
   * The proxies on its own links, of the kinds that were asked for: an agent's and a coordinator's to whom it connects to, a coordinator's
   * to its clients (all of them), a broker's to and from its peers.
   */
  readonly proxies: Readonly<Partial<Record<Link, LinkProxy>>>;
  /** What it wrote last, for messages of failing tests. */
  output(): string;
}

/** How a process ended. */
export type ExitStatus = number | NodeJS.Signals | null;
