// How one coordinator tells another why it can't do what it was asked: a mesh error in a header of its answer.

import { MeshError, type MeshErrorReason, type Violation } from "../core/mesh-error.ts";

/** Whoever asks has checked the request before; an answer must not outgrow a message. */
const MAX_VIOLATIONS = 100;

interface WireError {
  readonly reason: MeshErrorReason;
  readonly message: string;
  readonly violations: readonly Violation[];
  readonly retryDelayMs?: number;
  readonly resource?: { readonly type: string; readonly name: string };
}

/** Writes an error as a header. A header is one line of ASCII at best: percent-encoding keeps it so whatever a violation quotes. */
export function errorToHeader({ reason, message, violations, retryDelayMs, resource }: MeshError): string {
  const told = violations.slice(0, MAX_VIOLATIONS);
  const wire: WireError = {
    reason,
    message,
    violations: told,
    ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
    ...(resource === undefined ? {} : { resource }),
  };
  return encodeURIComponent(JSON.stringify(wire));
}

/** Reads an error that another coordinator wrote. */
export function errorFromHeader(text: string): MeshError {
  // Coordinators write it, nobody else may.
  const wire: WireError = JSON.parse(decodeURIComponent(text));
  const { reason, message, ...options } = wire;
  return new MeshError(reason, message, options);
}
