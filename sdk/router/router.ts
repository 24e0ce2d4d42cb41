// Runs tasks in this process or in the mesh, as its rules say, and at the other place where that is safe: a task must not run at both.
import { randomUUID } from "node:crypto";
import { context, type Context, SpanKind } from "@opentelemetry/api";
import { startHop } from "../../lib/wire/hop.ts";
import { markSpanFailed, type SpanShape } from "../../lib/wire/trace-context.ts";
import { type CallOptions, type EventKind, MycelError, type TaskOptions, type TaskRun } from "../client/index.ts";
import { abortError, toMycelError, withAcceptance } from "../client/mycel-error.ts";
import { streamLimitsOf } from "../client/resilience/call-limits.ts";
import { inputBytesOf } from "./input-size.ts";
import { LocalRunner } from "./local/local-runner.ts";
import { meshBlobs } from "./local/mesh-blobs.ts";
import { type Placed, type RoutedRun, routedRun } from "./routed-run.ts";
import { type ResolvedRouterOptions, resolveRouterOptions, type RouterOptions } from "./router-options.ts";
import { type Decision, decide, type FactSource } from "./rule.ts";

/** Options of `Router.run`: those of `client.run`. A signal or a time limit ends a task that runs here, whose handler is told to stop. */
export interface RouteOptions extends TaskOptions, CallOptions {
  /** Which kinds of events to get. Default: all. */
  readonly kinds?: readonly EventKind[];
}

/** Decides where tasks run, and runs them. Disposing stops what runs in this process. */
export interface Router extends AsyncDisposable {
  /**
   * Runs a task where the rules say, with the result, the events and the errors of `client.run`. It rejects with a MycelError NOWHERE_TO_RUN
   * if neither place takes it, and with SUBMISSION_UNCERTAIN if it is not known whether the mesh has it, so that it was not run here as well.
   */
  run<Result = unknown>(type: string, input?: unknown, options?: RouteOptions): RoutedRun<Result>;
  /** Says where a task would run now, and why, without running it. */
  explain(type: string, input?: unknown, options?: RouteOptions): Promise<Decision>;
}

/** Makes a router. Throws a MycelError (INVALID_OPTION) for a wrong option. */
export function createRouter(options: RouterOptions): Router {
  // What a caller expects of a result is the caller's word, as with `client.run`.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the one place where it is taken
  return new RuledRouter(resolveRouterOptions(options)) as Router;
}

interface RoutedTask {
  readonly type: string;
  readonly input: unknown;
  readonly options: RouteOptions;
}

/** What another place can help against. */
const ELSEWHERE_CODES: ReadonlySet<string> = new Set(["unavailable", "resource_exhausted"]);

class RuledRouter {
  readonly #options: ResolvedRouterOptions;
  readonly #local: LocalRunner;
  readonly #closed = new AbortController();

  constructor(options: ResolvedRouterOptions) {
    this.#options = options;
    this.#local = new LocalRunner({ ...options, blobs: meshBlobs(options.client) });
  }

  run(type: string, input?: unknown, options: RouteOptions = {}): RoutedRun {
    const { span, inside } = startHop(context.active(), () => routeSpan(type));
    const placing = context.with(inside, () => this.#place({ type, input, options }, inside));
    if (span !== undefined) {
      placing.then(
        ({ decision }) => {
          span.setAttribute("mycel.router.where", decision.where);
          span.setAttribute("mycel.router.rule", decision.rule);
          if (decision.fellBack) span.setAttribute("mycel.router.fell_back", true);
          span.end();
        },
        (error: unknown) => {
          const { reason, code, message } = toMycelError(error);
          markSpanFailed(span, reason ?? code, message);
          span.end();
        },
      );
    }
    return routedRun(placing);
  }

  async explain(type: string, input?: unknown, options: RouteOptions = {}): Promise<Decision> {
    return await decide(this.#options.rules, this.#factsOf({ type, input, options }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort(new MycelError("canceled", "the router is closed", { reason: "ROUTER_CLOSED" }));
    await this.#local.idle();
  }

  #factsOf({ type, input, options }: RoutedTask): FactSource {
    const { client, load } = this.#options;
    return {
      type,
      handler: this.#local.has(type),
      meshOnly: isForMeshOnly(options),
      inputBytes: () => inputBytesOf(input),
      circuits: () => client.breakers.state(),
      async outage() {
        const { healthy, endpoints } = await client.health();
        if (healthy) return undefined;
        return endpoints.map(({ url, status, detail }) => (detail === "" ? `${url} is ${status}` : detail)).join("; ");
      },
      async load() {
        try {
          return await load(type);
        } catch {
          // Nobody can say. Whether the mesh is there at all is another fact.
          return undefined;
        }
      },
    };
  }

  async #place(task: RoutedTask, parent: Context): Promise<Placed> {
    const decision = await this.explain(task.type, task.input, task.options);
    const { where } = decision;
    const other = where === "local" ? "mesh" : "local";
    const { handler, meshOnly } = decision.facts;
    const mayFallBack = decision.fallback && (other === "mesh" || (handler && !meshOnly));
    try {
      return { decision, run: await this.#runAt(where, task, parent, mayFallBack) };
    } catch (error) {
      if (!(error instanceof MycelError) || !ELSEWHERE_CODES.has(error.code)) throw error;
      if (!error.unaccepted) throw mayFallBack ? uncertain(task.type, error) : error;
      if (!mayFallBack) throw nowhere(task.type, where, error, whyNotAt(other, decision));
      const because = `${decision.because}; ${nameOf(where)} did not take it: ${error.message}`;
      try {
        const run = await this.#runAt(other, task, parent, false);
        return { run, decision: { ...decision, where: other, fellBack: true, because } };
      } catch (second) {
        if (!(second instanceof MycelError) || !ELSEWHERE_CODES.has(second.code)) throw second;
        throw nowhere(task.type, where, error, second.message);
      }
    }
  }

  async #runAt(where: Decision["where"], task: RoutedTask, parent: Context, isHasty: boolean): Promise<TaskRun> {
    if (where === "mesh") return isHasty ? await this.#hastilyInMesh(task) : await this.#inMesh(task);
    const { timeoutMs, ctx, signal, ...options } = task.options;
    const limits = { ...(signal && { signal }), ...(timeoutMs && { timeoutMs }), ...(ctx && { ctx }) };
    const { signal: ended } = streamLimitsOf(limits, () => this.#options.clock.now());
    const left = ended === undefined ? this.#closed.signal : AbortSignal.any([ended, this.#closed.signal]);
    if (left.aborted) throw abortError(left);
    return this.#local.start(task.type, task.input, { ...options, signal: left }, parent);
  }

  async #inMesh({ type, input, options }: RoutedTask): Promise<TaskRun> {
    const run = this.#options.client.run(type, input, options);
    await run.submitted;
    return run;
  }

  /** Gives the mesh no longer than a caller waits who has another place for the task. */
  async #hastilyInMesh({ type, input, options }: RoutedTask): Promise<TaskRun> {
    const { submitTimeoutMs } = this.#options;
    const isNamed = [options.taskId, options.requestId].some((id) => id !== undefined && id !== "");
    const submission: RouteOptions = isNamed ? options : { ...options, requestId: randomUUID() };
    const late = new AbortController();
    const text = `the mesh did not take it within ${submitTimeoutMs} ms`;
    const timer = setTimeout(
      () => late.abort(new MycelError("unavailable", text, { reason: "SUBMIT_TIMEOUT" })),
      submitTimeoutMs,
    );
    const signals = [late.signal, options.signal].filter((signal) => signal !== undefined);
    try {
      return await this.#inMesh({ type, input, options: { ...submission, signal: AbortSignal.any(signals) } });
    } catch (error) {
      const inDoubt = late.signal.aborted && error instanceof MycelError && !error.unaccepted;
      if (!inDoubt) throw error;
    } finally {
      clearTimeout(timer);
    }
    // It may have been taken though its answer was lost. The same submission cannot make a second task of it, and tells.
    try {
      return await this.#inMesh({ type, input, options: submission });
    } catch (error) {
      // Whatever became of the second one, of the first nobody knows.
      throw error instanceof MycelError ? withAcceptance(error, false) : error;
    }
  }
}

function routeSpan(type: string): SpanShape {
  return { name: "mycel.router/route", options: { kind: SpanKind.INTERNAL, attributes: { "mycel.task.type": type } } };
}

/** Whether a task asks for what nobody does in this process. */
function isForMeshOnly({ delayMs, startTime, webhook }: RouteOptions): boolean {
  return delayMs !== undefined || startTime !== undefined || webhook !== undefined;
}

function nameOf(where: Decision["where"]): string {
  return where === "local" ? "this process" : "the mesh";
}

function whyNotAt(other: Decision["where"], { rule, facts }: Decision): string {
  if (other === "local" && !facts.handler) return "there is no handler for it";
  if (other === "local" && facts.meshOnly) return "it asks for what only the mesh can do";
  return `rule ${rule} does not let it run there`;
}

/** Neither place takes it. */
function nowhere(type: string, where: Decision["where"], error: MycelError, whyNot: string): MycelError {
  const [here, there] = where === "local" ? [error.message, whyNot] : [whyNot, error.message];
  const text = `${JSON.stringify(type)} can run nowhere: in this process: ${here}; in the mesh: ${there}`;
  const { retryDelayMs, code } = error;
  return new MycelError(code, text, { reason: "NOWHERE_TO_RUN", retryDelayMs, unaccepted: true, cause: error });
}

/** The mesh may have it. */
function uncertain(type: string, error: MycelError): MycelError {
  const text = `it is not known whether the mesh took ${JSON.stringify(type)}, so it was not run in this process as well: ${error.message}`;
  return new MycelError(error.code, text, { reason: "SUBMISSION_UNCERTAIN", cause: error });
}
