// A mesh in which the stock agent works: what a client from outside meets, and what its calls must come to.
import { expect } from "vitest";
import { openMesh, startProcess, type TestMesh, type TestMeshOptions, type TestProcess } from "./processes.ts";

/** A mesh with one coordinator, unless told otherwise, and one stock agent. */
export interface StockMesh extends AsyncDisposable {
  readonly mesh: TestMesh;
  readonly agent: TestProcess;
  /** The first coordinator's URL. */
  readonly url: string;
  /** Its host and port. */
  readonly address: string;
}

/** What such a mesh is made of. */
export interface StockMeshOptions extends TestMeshOptions {
  /** Further settings of the agent. */
  readonly agentEnv?: Readonly<Record<string, string>>;
}

/** Opens the mesh and resolves when the agent is ready. */
export async function openStockMesh(options: StockMeshOptions = {}): Promise<StockMesh> {
  const mesh = await openMesh(options);
  try {
    const agent = await startProcess("services/worker/main.ts", {
      MYCEL_URL: mesh.urls.join(","),
      ...options.agentEnv,
    });
    const url = mesh.urls[0]!;
    return {
      mesh,
      agent,
      url,
      address: new URL(url).host,
      async [Symbol.asyncDispose]() {
        await agent[Symbol.asyncDispose]();
        await mesh[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await mesh[Symbol.asyncDispose]();
    throw error;
  }
}

/** How often the echo task of {@link expectEchoStream} answers. */
export const ECHO_REPEAT = 3;

/** The input of an echo task that streams, as JSON. */
export function echoInput(message: string): {
  readonly message: string;
  readonly repeat: number;
  readonly delayMs: number;
} {
  return { message, repeat: ECHO_REPEAT, delayMs: 20 };
}

/** One message of StreamResults as JSON shows it. */
interface JsonResult {
  readonly cursor?: string;
  readonly sequence?: string;
  readonly snapshot?: { readonly taskId?: string };
  readonly stateChange?: {
    readonly status?: { readonly state?: string };
    readonly result?: { readonly json?: unknown };
  };
  readonly output?: { readonly attempt?: number; readonly output?: { readonly chunk?: { readonly json?: unknown } } };
}

/** Expects the JSON messages of a whole StreamResults of the task with {@link echoInput}: everything, once, in order, to the end. */
export function expectEchoStream(messages: readonly unknown[], taskId: string, message: string): void {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each field that is read is expected below
  const all = messages as readonly JsonResult[];
  expect(all[0]).toMatchObject({ snapshot: { taskId, type: "echo" }, cursor: expect.stringMatching(/./) });
  const news = all.slice(1).filter(({ stateChange, output }) => stateChange !== undefined || output !== undefined);
  expect(news.map(({ sequence }) => Number(sequence))).toEqual(news.map((_, i) => i + 1));
  expect(new Set(news.map(({ cursor }) => cursor)).size).toBe(news.length);
  expect(news.flatMap(({ stateChange }) => stateChange?.status?.state ?? [])).toEqual([
    "TASK_STATE_WORKING",
    "TASK_STATE_COMPLETED",
  ]);
  expect(news.flatMap(({ output }) => (output === undefined ? [] : [output.output?.chunk?.json]))).toEqual(
    Array.from({ length: ECHO_REPEAT }, (_, i) => ({ message, index: i + 1 })),
  );
  expect(all.at(-1)).toMatchObject({
    stateChange: { status: { taskId, attempt: 1 }, result: { json: { message, outputs: ECHO_REPEAT } } },
  });
}
