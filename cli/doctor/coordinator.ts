// Checks of a coordinator: its health, its reflection, its clock.
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { Health, HealthCheckResponse_ServingStatus } from "../../gen/health/v1/health_pb.ts";
import { AgentService } from "../../gen/mycel/v1/agent_service_pb.ts";
import { ClientSession, securityOf } from "../../lib/rpc/client-session.ts";
import { tlsProblem } from "../../lib/tls/client-tls.ts";
import { type ResolvedAccess, withHeaders } from "../../sdk/access/access-options.ts";
import { toMycelError } from "../../sdk/client/mycel-error.ts";
import { formatDuration } from "../duration.ts";
import type { CallPrinter } from "../grpcurl/call-printer.ts";
import type { Found } from "./check.ts";

const TIMEOUT_MS = 3_000;
// The header counts seconds, and a slow answer adds to it; what matters is far above.
const MAX_SKEW_MS = 5_000;
const START = 'Start one with "mycel up", or name one with --url.';

const LIST_SERVICES = { messageRequest: { case: "listServices" as const, value: "" } };

/** Prints the calls of the checks here. */
export async function printCoordinatorCalls(printer: CallPrinter, urls: readonly string[]): Promise<void> {
  for (const url of urls) await printer.printOne(url, Health.method.check, {});
  const [first] = urls;
  if (first !== undefined) await printer.printOne(first, ServerReflection.method.serverReflectionInfo, LIST_SERVICES);
}

/** Whether a coordinator answers and serves. */
export async function checkHealth(url: string, access: ResolvedAccess): Promise<Found> {
  const started = performance.now();
  try {
    const { status } = await asking(url, access, (transport) =>
      createClient(Health, transport).check({}, { timeoutMs: TIMEOUT_MS }),
    );
    const tookMs = performance.now() - started;
    if (status === HealthCheckResponse_ServingStatus.SERVING) {
      return { state: "ok", text: `${url} is serving (${formatDuration(tookMs)})` };
    }
    return {
      state: "broken",
      text: `${url} answers but does not serve`,
      advice: "It is draining, or it has lost NATS: see its log.",
    };
  } catch (error) {
    return { state: "broken", text: `${url}: ${reasonOf(error)}`, advice: START };
  }
}

/** Whether tools can ask for the schema. */
export async function checkReflection(url: string, access: ResolvedAccess): Promise<Found> {
  const advice = "Tools such as grpcurl need reflection; this may not be a Mycel coordinator.";
  try {
    const names = await asking(url, access, async (transport) => {
      const answers = createClient(ServerReflection, transport).serverReflectionInfo(once(LIST_SERVICES), {
        timeoutMs: TIMEOUT_MS,
      });
      for await (const { messageResponse } of answers) {
        if (messageResponse.case === "listServicesResponse")
          return messageResponse.value.service.map(({ name }) => name);
      }
      return [];
    });
    if (names.includes(AgentService.typeName)) return { state: "ok", text: `${names.length} services` };
    return { state: "broken", text: `${AgentService.typeName} is not among its ${names.length} services`, advice };
  } catch (error) {
    return { state: "broken", text: reasonOf(error), advice };
  }
}

/** Whether the coordinator's clock agrees with ours. */
export async function checkClock(url: string, access: ResolvedAccess): Promise<Found> {
  const before = Date.now();
  let header: string | null = null;
  await asking(url, access, (transport) =>
    createClient(Health, transport).check(
      {},
      { timeoutMs: TIMEOUT_MS, onHeader: (headers) => (header = headers.get("date")) },
    ),
  );
  if (header === null) return { state: "skipped", text: "the coordinator does not say its time" };
  // Its seconds are cut off, hence the half.
  const skewMs = Date.parse(header) + 500 - (before + Date.now()) / 2;
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return { state: "ok", text: "agrees with the coordinator's" };
  const how = `${formatDuration(Math.abs(skewMs))} ${skewMs > 0 ? "behind" : "ahead of"} the coordinator's`;
  return {
    state: "broken",
    text: `this machine's is ${how}`,
    advice: "Synchronise both clocks (NTP): start times and ages are off.",
  };
}

async function asking<T>(
  url: string,
  access: ResolvedAccess,
  ask: (transport: ReturnType<typeof createGrpcTransport>) => Promise<T>,
): Promise<T> {
  const sessionManager = new ClientSession(url, undefined, securityOf(url, access.tls));
  const interceptors = [access.interceptor ?? withHeaders(access.headers)];
  try {
    return await ask(createGrpcTransport({ baseUrl: url, sessionManager, interceptors }));
  } finally {
    sessionManager.abort();
  }
}

async function* once<T>(message: T): AsyncGenerator<T> {
  yield message;
}

function reasonOf(error: unknown): string {
  const handshake = tlsProblem(error instanceof Error ? error.cause : undefined);
  if (handshake !== undefined) return handshake;
  const { message, code } = toMycelError(error);
  if (message.includes("ECONNREFUSED")) return "connection refused";
  if (message.includes("ENOTFOUND")) return "unknown host name";
  return code === "deadline_exceeded" ? `no answer within ${formatDuration(TIMEOUT_MS)}` : message;
}
