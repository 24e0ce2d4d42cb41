// gRPC server reflection, v1 and v1alpha, for Connect routers: tools such as grpcurl and `buf curl` need no schema
// files. One implementation serves both versions, which differ in nothing but their package name.
import { Code, ConnectError } from "@connectrpc/connect";
import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { ServerReflection } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import type { ServerReflectionRequest } from "../../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { createDescriptorIndex, withImports } from "./descriptor-index.ts";
import type { DescriptorIndex, DescriptorSource } from "./descriptor-index.ts";

/** What reflection shows; reflection itself is always listed too. */
export type ReflectionOptions = DescriptorSource;

// What both versions' requests have in common; v1alpha's generated type differs only in its `$typeName`.
interface ReflectionRequest {
  readonly host: string;
  readonly messageRequest:
    | Exclude<ServerReflectionRequest["messageRequest"], { case: "fileContainingExtension" }>
    | { case: "fileContainingExtension"; value: { containingType: string; extensionNumber: number } };
}

type Answer =
  | { case: "fileDescriptorResponse"; value: { fileDescriptorProto: Uint8Array[] } }
  | { case: "allExtensionNumbersResponse"; value: { baseTypeName: string; extensionNumber: number[] } }
  | { case: "listServicesResponse"; value: { service: { name: string }[] } }
  | { case: "errorResponse"; value: { errorCode: Code; errorMessage: string } };

/**
 * Registers `grpc.reflection.v1.ServerReflection` and `grpc.reflection.v1alpha.ServerReflection`.
 *
 * A stream never gets the same file twice, except when asked for it by name or symbol again. A name that is not known
 * is answered with NOT_FOUND in the stream, which goes on.
 */
export function addReflection(router: ConnectRouter, options: ReflectionOptions): void {
  const index = createDescriptorIndex({
    ...options,
    services: [...options.services, ServerReflection, ServerReflectionV1Alpha],
  });
  router.service(ServerReflection, {
    serverReflectionInfo: (requests, context) => answerAll(index, requests, context),
  });
  router.service(ServerReflectionV1Alpha, {
    serverReflectionInfo: (requests, context) => answerAll(index, requests, context),
  });
}

async function* answerAll<R extends ReflectionRequest>(
  index: DescriptorIndex,
  requests: AsyncIterable<R>,
  context: HandlerContext,
): AsyncIterable<{ validHost: string; originalRequest: R; messageResponse: Answer }> {
  const sent = new Set<string>();
  for await (const request of untilAborted(requests, context.signal)) {
    yield { validHost: request.host, originalRequest: request, messageResponse: answer(index, request, sent) };
  }
}

function answer(index: DescriptorIndex, { messageRequest }: ReflectionRequest, sent: Set<string>): Answer {
  const files = (file: ReturnType<DescriptorIndex["file"]>, what: string): Answer => {
    if (file === undefined) {
      return errorAnswer(Code.NotFound, `${what} not found`);
    }
    // The client keeps what it got on this stream, so imports go out once; the file asked for always does.
    const news = withImports(file).filter((each) => each === file || !sent.has(each.proto.name));
    for (const each of news) {
      sent.add(each.proto.name);
    }
    return {
      case: "fileDescriptorResponse",
      value: { fileDescriptorProto: news.map((each) => index.bytes(each)) },
    };
  };
  switch (messageRequest.case) {
    case "fileByFilename":
      return files(index.file(messageRequest.value), `file "${messageRequest.value}"`);
    case "fileContainingSymbol":
      return files(index.fileOfSymbol(messageRequest.value), `symbol "${messageRequest.value}"`);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = messageRequest.value;
      return files(
        index.fileOfExtension(containingType, extensionNumber),
        `extension ${extensionNumber} of "${containingType}"`,
      );
    }
    case "allExtensionNumbersOfType": {
      const numbers = index.extensionNumbers(messageRequest.value);
      return numbers === undefined
        ? errorAnswer(Code.NotFound, `message "${messageRequest.value}" not found`)
        : {
            case: "allExtensionNumbersResponse",
            value: { baseTypeName: messageRequest.value, extensionNumber: [...numbers] },
          };
    }
    case "listServices":
      return { case: "listServicesResponse", value: { service: index.serviceNames.map((name) => ({ name })) } };
    case undefined:
      return errorAnswer(Code.InvalidArgument, "message_request is not set, or of a kind this server does not know");
  }
}

function errorAnswer(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

// An idle stream must end when the call is aborted (deadline, drain), not when its client next speaks.
async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncIterable<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  aborted.catch(() => undefined);
  const onAbort = (): void => reject(signal.reason ?? new ConnectError("the call was aborted", Code.Canceled));
  if (signal.aborted) {
    onAbort();
  }
  signal.addEventListener("abort", onAbort, { once: true });
  const iterator = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done === true) {
        return;
      }
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
