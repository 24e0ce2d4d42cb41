// Owns the process of an agent or a coordinator: its starts, its ends, and what it is told while it runs.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import type { FailPoint } from "./inside/fail-points.ts";
import { type ControlAnswer, type ControlOrder, FAIL_POINT_VARIABLE, TAMPER_VARIABLE } from "./inside/order.ts";
import type { TamperRule } from "./inside/tampering.ts";
import type { LinkProxy } from "./link-proxy.ts";
import type { ExitStatus, Link, Member } from "./member.ts";

const ROOT = resolve(import.meta.dirname, "../../..");
const REMOTE_CONTROL = resolve(import.meta.dirname, "inside/remote-control.ts");

/** Where the compiled code of all members is kept: a start costs two thirds of the time then. */
const COMPILE_CACHE = resolve(ROOT, ".cache/compiled");

/** How much of its output a member keeps. */
const OUTPUT_LINES = 100;

/** What a member is started with. */
export interface MemberProcessOptions {
  readonly name: string;
  readonly role: "agent" | "coordinator";
  /** The TypeScript file to run, from the project's root. It logs `ready` once it is. */
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  readonly proxies: Readonly<Partial<Record<Link, LinkProxy>>>;
  /** Which port of this machine leads where, for the connections that it opens itself. */
  readonly redirect: ReadonlyMap<number, number>;
}

/** A process of the mesh that does to itself what a test tells it to. A restart forgets it all. */
export interface MemberProcess extends Member {
  /** Ends the process at a step of what it does, as a crash would; without a point it goes on living. Resolves when that is in force. */
  failAt(point?: FailPoint): Promise<void>;
  /** Loses and doubles messages by these rules, which replace those before. Resolves when that is in force. */
  tamper(...rules: readonly TamperRule[]): Promise<void>;
  /**
   * How often each step was taken since the process started, by their names in inside/steps.ts; `in.<name>` is how often a message that
   * came was handed on.
   */
  steps(): Promise<Readonly<Record<string, number>>>;
}

/** What is to be in force from the very start of a process, as environment for a start or restart. */
export function fromTheStart(faults: {
  readonly failPoint?: FailPoint;
  readonly tamper?: readonly TamperRule[];
}): Readonly<Record<string, string>> {
  return {
    ...(faults.failPoint === undefined ? {} : { [FAIL_POINT_VARIABLE]: JSON.stringify(faults.failPoint) }),
    ...(faults.tamper === undefined ? {} : { [TAMPER_VARIABLE]: JSON.stringify(faults.tamper) }),
  };
}

/** Starts a member and resolves when it is ready. Rejects with its last output when it ends before that. */
export async function startMember(options: MemberProcessOptions): Promise<MemberProcess> {
  const member = new NodeMember(options);
  await member.start({});
  return member;
}

class NodeMember implements MemberProcess {
  readonly name: string;
  readonly role: "agent" | "coordinator";
  readonly proxies: Readonly<Partial<Record<Link, LinkProxy>>>;
  readonly #options: MemberProcessOptions;
  readonly #lines: string[] = [];
  #child: ChildProcess | undefined;
  #exited: Promise<ExitStatus> = Promise.resolve(null);
  #orders = 0;

  constructor(options: MemberProcessOptions) {
    this.name = options.name;
    this.role = options.role;
    this.proxies = options.proxies;
    this.#options = options;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  get exited(): Promise<ExitStatus> {
    return this.#exited;
  }

  async start(env: Readonly<Record<string, string>>): Promise<void> {
    const child = spawn(process.execPath, ["--import", REMOTE_CONTROL, resolve(ROOT, this.#options.entry)], {
      env: {
        ...process.env,
        NODE_NO_WARNINGS: "1",
        NODE_COMPILE_CACHE: COMPILE_CACHE,
        FAULT_ROLE: this.role,
        FAULT_REDIRECT: [...this.#options.redirect].map((ports) => ports.join(":")).join(","),
        ...this.#options.env,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    this.#child = child;
    this.#exited = new Promise((done) => {
      child.once("exit", (code, signal) => done(signal ?? code));
    });
    const ready = Promise.withResolvers<void>();
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => {
        this.#lines.push(line);
        if (this.#lines.length > OUTPUT_LINES) this.#lines.shift();
        if (line.includes('"msg":"ready"')) ready.resolve();
      });
    }
    // After `close` nothing more is read: what it said last is there.
    child.once("close", () => ready.reject(new Error(`${this.name} ended before it was ready:\n${this.output()}`)));
    child.once("error", ready.reject);
    await ready.promise;
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#exited;
  }

  pause(): void {
    this.#child?.kill("SIGSTOP");
  }

  resume(): void {
    this.#child?.kill("SIGCONT");
  }

  async terminate(): Promise<ExitStatus> {
    this.#child?.kill("SIGTERM");
    return await this.#exited;
  }

  async restart(env: Readonly<Record<string, string>> = {}): Promise<void> {
    await this.kill();
    await this.start(env);
  }

  async jumpClock(ms: number): Promise<void> {
    await this.#order({ verb: "jump-clock", ms });
  }

  async failAt(point?: FailPoint): Promise<void> {
    await this.#order({ verb: "fail-at", point });
  }

  async tamper(...rules: readonly TamperRule[]): Promise<void> {
    await this.#order({ verb: "tamper", rules });
  }

  async steps(): Promise<Readonly<Record<string, number>>> {
    return (await this.#order({ verb: "steps" })).steps ?? {};
  }

  output(): string {
    return this.#lines.join("\n");
  }

  async #order(order: ControlOrder): Promise<ControlAnswer> {
    const child = this.#child;
    if (child === undefined || !this.running) throw new Error(`${this.name} does not run`);
    this.#orders += 1;
    const id = this.#orders;
    const listening = new AbortController();
    const answered = (async (): Promise<ControlAnswer> => {
      for (;;) {
        const [answer]: ControlAnswer[] = await once(child, "message", { signal: listening.signal });
        if (answer?.id !== id) continue;
        if (answer.error === undefined) return answer;
        throw new Error(`${this.name}: ${answer.error}`);
      }
    })();
    const ended = this.#exited.then((status): ControlAnswer => {
      // One of its threads may reach the point before the others have answered.
      if (order.verb === "fail-at" && order.point !== undefined && status === "SIGKILL") return { id };
      throw new Error(`${this.name} ended (${status}) before it had carried out ${order.verb}`);
    });
    try {
      child.send({ id, order }, () => undefined);
      return await Promise.race([answered, ended]);
    } finally {
      answered.catch(() => undefined);
      ended.catch(() => undefined);
      listening.abort();
    }
  }
}
