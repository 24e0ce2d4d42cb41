// Gives the errors that Connect itself raises (an unreadable body, a message too large, a missed deadline) what all others have: an
// ErrorInfo with a reason; and makes every message one that can be sent.
import { create } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { ERROR_DOMAIN } from "../rich-error.ts";

/** The reasons of the RPC layer by code; other codes have their own name as the reason. */
const REASONS: ReadonlyMap<Code, string> = new Map([
  [Code.InvalidArgument, "UNREADABLE_REQUEST"],
  [Code.ResourceExhausted, "MESSAGE_TOO_LARGE"],
]);

/** In gRPC a message travels in the trailers, of which clients take a few KiB in all. */
const MAX_MESSAGE_LENGTH = 512;

/** How Connect begins the message of a body that it cannot decode. It calls that INTERNAL, though only the client can mend it. */
const UNDECODABLE = /^(?:parse binary:|decompression failed$)/;

/**
 * For `requestGate`. Whatever ends a call is the reason of its signal before it is written down: that is the only place where an error
 * that is raised before the interceptors run can still be changed.
 */
export function explainErrors({ signal, requestMethod, url }: HandlerContext): void {
  signal.addEventListener("abort", () => explain(signal.reason), { once: true });
  if (requestMethod === "GET") checkQuery(new URL(url).searchParams);
}

/** What Connect's base64 decoder throws is no error of the protocol, and would be INTERNAL. */
function checkQuery(parameters: URLSearchParams): void {
  if (parameters.get("base64") !== "1") return;
  try {
    base64Decode(parameters.get("message") ?? "");
  } catch (cause) {
    throw new ConnectError("the message in the query is no base64", Code.InvalidArgument, undefined, undefined, cause);
  }
}

/** Gives an error a reason, and a message that can be sent. */
export function explain(error: unknown): void {
  if (!(error instanceof ConnectError)) return;
  const { rawMessage } = error;
  // It may quote the request: half a character of that cannot be encoded, and such a call would never be answered.
  if (!rawMessage.isWellFormed() || rawMessage.length > MAX_MESSAGE_LENGTH) {
    Object.assign(error, { rawMessage: rawMessage.slice(0, MAX_MESSAGE_LENGTH).toWellFormed() });
  }
  if (error.findDetails(ErrorInfoSchema).length > 0) return;
  if (error.code === Code.Internal && UNDECODABLE.test(error.rawMessage)) {
    Object.assign(error, { code: Code.InvalidArgument });
  }
  const reason = REASONS.get(error.code) ?? upperSnake(Code[error.code]);
  error.details.push({ desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason, domain: ERROR_DOMAIN }) });
}

function upperSnake(name: string): string {
  return name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
