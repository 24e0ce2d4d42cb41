// What a failure of a connection or of a stream means, in the codes and words of connect-node: retries are decided by them.
import { constants } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";

const GONE: ReadonlySet<unknown> = new Set(["ERR_STREAM_DESTROYED", "ERR_HTTP2_INVALID_STREAM", "ECONNRESET"]);
const UNREACHABLE: ReadonlySet<unknown> = new Set(["ETIMEDOUT", "ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED"]);

/** By HTTP/2 code: its name, and the code of the call. A code that is missing does not end a call. */
const RESETS: ReadonlyMap<number, readonly [string, Code]> = new Map([
  [constants.NGHTTP2_PROTOCOL_ERROR, ["PROTOCOL_ERROR", Code.Internal]],
  [constants.NGHTTP2_INTERNAL_ERROR, ["INTERNAL_ERROR", Code.Internal]],
  [constants.NGHTTP2_FLOW_CONTROL_ERROR, ["FLOW_CONTROL_ERROR", Code.Internal]],
  [constants.NGHTTP2_SETTINGS_TIMEOUT, ["SETTINGS_TIMEOUT", Code.Internal]],
  [constants.NGHTTP2_FRAME_SIZE_ERROR, ["FRAME_SIZE_ERROR", Code.Internal]],
  [constants.NGHTTP2_REFUSED_STREAM, ["REFUSED_STREAM", Code.Unavailable]],
  [constants.NGHTTP2_CANCEL, ["CANCEL", Code.Canceled]],
  [constants.NGHTTP2_COMPRESSION_ERROR, ["COMPRESSION_ERROR", Code.Internal]],
  [constants.NGHTTP2_CONNECT_ERROR, ["CONNECT_ERROR", Code.Internal]],
  [constants.NGHTTP2_ENHANCE_YOUR_CALM, ["ENHANCE_YOUR_CALM", Code.ResourceExhausted]],
  [constants.NGHTTP2_INADEQUATE_SECURITY, ["INADEQUATE_SECURITY", Code.PermissionDenied]],
  [constants.NGHTTP2_HTTP_1_1_REQUIRED, ["HTTP_1_1_REQUIRED", Code.PermissionDenied]],
]);

/** The error of a call for what Node threw. */
export function failureOf(reason: unknown): ConnectError {
  if (reason instanceof ConnectError) return reason;
  const codes = codesOf(reason);
  const code = codes.includes("ERR_STREAM_WRITE_AFTER_END")
    ? Code.Aborted
    : codes.some((each) => GONE.has(each))
      ? Code.Aborted
      : codes.some((each) => UNREACHABLE.has(each))
        ? Code.Unavailable
        : Code.Internal;
  const failure = ConnectError.from(reason, code);
  failure.cause = reason;
  return failure;
}

/** Whether a stream that was closed with this code was broken off. */
export function isReset(rstCode: number): boolean {
  return RESETS.has(rstCode);
}

/** The error of a call whose stream was closed before its answer was complete. */
export function resetFailure(rstCode: number): ConnectError {
  const reset = RESETS.get(rstCode);
  if (reset === undefined) return new ConnectError("http/2 stream closed before its end", Code.Internal);
  const [name, code] = reset;
  return new ConnectError(`http/2 stream closed with error code ${name} (0x${rstCode.toString(16)})`, code);
}

/** The codes of an error and of what caused it. */
function codesOf(reason: unknown): readonly unknown[] {
  const codes: unknown[] = [];
  const seen = new Set<unknown>();
  for (let error = reason; error instanceof Error && !seen.has(error); error = error.cause) {
    seen.add(error);
    if ("code" in error) codes.push(error.code);
  }
  return codes;
}
