// Builds and reads errors that carry google.rpc details: the one place that knows which detail carries what.
// It must not know any reason of the application; callers bring their own.
import { create, toBinary } from "@bufbuild/protobuf";
import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { DurationSchema, durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";

/** The `ErrorInfo.domain` of every error that this project raises itself. */
export const ERROR_DOMAIN: string = "mycel.dev";

/** Longest `retryDelayMs`: a day. A client told to wait longer would rather fail. */
export const MAX_RETRY_DELAY_MS: number = 86_400_000;

// gRPC clients commonly refuse trailers beyond 8 KiB, and details travel there in base64 beside the message: a list
// longer than this would turn a clear error into a transport failure.
const MAX_LIST_BYTES = 4096;

const REASON_PATTERN = /^[A-Z][A-Z0-9_]{0,61}[A-Z0-9]$/;

/** One field of a request that breaks its contract (google.rpc.BadRequest). */
export interface FieldViolation {
  /** Path of the field, e.g. `tasks[3].priority`. */
  readonly field: string;
  /** What is wrong and what is allowed. */
  readonly description: string;
  /** Optional UPPER_SNAKE reason for programs. */
  readonly reason?: string;
}

/** The thing that is missing, taken or forbidden (google.rpc.ResourceInfo). */
export interface ResourceRef {
  /** Kind of resource, e.g. `task`. */
  readonly type: string;
  /** Its id. */
  readonly name: string;
  /** Who owns it, when that may be told. */
  readonly owner?: string;
  /** What happened when accessing it. */
  readonly description?: string;
}

/** One limit that was reached (google.rpc.QuotaFailure). */
export interface QuotaViolation {
  /** Whose limit, e.g. `queue:echo` or `tenant:acme`. */
  readonly subject: string;
  /** Which limit, with its number. */
  readonly description: string;
}

/** One condition of the system that does not hold (google.rpc.PreconditionFailure). */
export interface PreconditionViolation {
  /** UPPER_SNAKE kind of precondition. */
  readonly type: string;
  /** What it is about, e.g. `task:t-1`. */
  readonly subject: string;
  /** How to satisfy it. */
  readonly description: string;
}

/** What {@link richError} puts on the wire. Each detail type appears at most once. */
export interface RichErrorOptions {
  /** Status code of the call. */
  readonly code: Code;
  /** UPPER_SNAKE reason, 2 to 63 characters: what a program switches on. */
  readonly reason: string;
  /** For people; one line. */
  readonly message: string;
  /** Who defines `reason`; default {@link ERROR_DOMAIN}. */
  readonly domain?: string;
  /** Facts for programs, e.g. the limit that was passed. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** Fields that break the contract; for INVALID_ARGUMENT and OUT_OF_RANGE. */
  readonly violations?: readonly FieldViolation[];
  /**
   * After how many milliseconds the same call may succeed, 0 to {@link MAX_RETRY_DELAY_MS}; rounded up to whole ones.
   * Also sent as `retry-after` (seconds, rounded up) and `grpc-retry-pushback-ms`.
   */
  readonly retryDelayMs?: number;
  /** The resource the call was about; for NOT_FOUND and ALREADY_EXISTS. */
  readonly resource?: ResourceRef;
  /** Limits that were reached; for RESOURCE_EXHAUSTED. */
  readonly quota?: readonly QuotaViolation[];
  /** Conditions that do not hold; for FAILED_PRECONDITION. */
  readonly preconditions?: readonly PreconditionViolation[];
  /** The request's id, for a report to the operator; also sent as `x-request-id`. */
  readonly requestId?: string;
  /** Kept on this side only; never serialised. */
  readonly cause?: unknown;
}

/** The details of a received error, as plain values. A detail that was not sent is absent. */
export interface ErrorDetails {
  readonly reason?: string;
  readonly domain?: string;
  /** Empty when the error carries no ErrorInfo. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryDelayMs?: number;
  readonly resource?: ResourceRef;
  readonly quota: readonly QuotaViolation[];
  readonly preconditions: readonly PreconditionViolation[];
  readonly requestId?: string;
}

type OutgoingDetail = { desc: DescMessage; value: MessageInitShape<DescMessage> };

/**
 * Creates an error with google.rpc details. A list too long for a gRPC trailer is cut, and its last entry says how
 * many are missing.
 *
 * @throws RangeError when `reason` or `retryDelayMs` is outside its range.
 */
export function richError(options: RichErrorOptions): ConnectError {
  if (!REASON_PATTERN.test(options.reason)) {
    throw new RangeError(`reason must be UPPER_SNAKE of 2 to 63 characters, got "${options.reason}"`);
  }
  const headers: Record<string, string> = {};
  const details: OutgoingDetail[] = [];
  const add = <D extends DescMessage>(desc: D, value: MessageInitShape<D>): void => {
    details.push({ desc, value: create(desc, value) });
  };
  add(ErrorInfoSchema, {
    reason: options.reason,
    domain: options.domain ?? ERROR_DOMAIN,
    metadata: { ...options.metadata },
  });
  if (options.violations !== undefined && options.violations.length > 0) {
    const fieldViolations = fit(options.violations, BadRequestSchema, (fieldViolations) => ({ fieldViolations }));
    add(BadRequestSchema, {
      fieldViolations: [
        ...fieldViolations.kept,
        ...omitted(fieldViolations.omitted, (description) => ({ description })),
      ],
    });
  }
  if (options.retryDelayMs !== undefined) {
    const delayMs = checkedRetryDelayMs(options.retryDelayMs);
    add(RetryInfoSchema, { retryDelay: durationFromMs(delayMs) });
    headers["retry-after"] = String(Math.ceil(delayMs / 1000));
    headers["grpc-retry-pushback-ms"] = String(delayMs);
  }
  if (options.resource !== undefined) {
    const { type, name, owner = "", description = "" } = options.resource;
    add(ResourceInfoSchema, { resourceType: type, resourceName: name, owner, description });
  }
  if (options.quota !== undefined && options.quota.length > 0) {
    const violations = fit(options.quota, QuotaFailureSchema, (violations) => ({ violations }));
    add(QuotaFailureSchema, {
      violations: [...violations.kept, ...omitted(violations.omitted, (description) => ({ description }))],
    });
  }
  if (options.preconditions !== undefined && options.preconditions.length > 0) {
    const violations = fit(options.preconditions, PreconditionFailureSchema, (violations) => ({ violations }));
    add(PreconditionFailureSchema, {
      violations: [...violations.kept, ...omitted(violations.omitted, (description) => ({ description }))],
    });
  }
  if (options.requestId !== undefined) {
    add(RequestInfoSchema, { requestId: options.requestId });
    headers["x-request-id"] = options.requestId;
  }
  return new ConnectError(options.message, options.code, headers, details, options.cause);
}

/** Reads the google.rpc details of a received (or just built) error. */
export function readDetails(error: ConnectError): ErrorDetails {
  const first = <D extends DescMessage>(desc: D): MessageShape<D> | undefined => error.findDetails(desc)[0];
  const info = first(ErrorInfoSchema);
  const retryDelay = first(RetryInfoSchema)?.retryDelay;
  const resource = first(ResourceInfoSchema);
  const requestId = first(RequestInfoSchema)?.requestId;
  return {
    ...(info === undefined ? {} : { reason: info.reason, domain: info.domain }),
    metadata: info?.metadata ?? {},
    violations: (first(BadRequestSchema)?.fieldViolations ?? []).map(({ field, description, reason }) =>
      reason === "" ? { field, description } : { field, description, reason },
    ),
    ...(retryDelay === undefined ? {} : { retryDelayMs: durationMs(create(DurationSchema, retryDelay)) }),
    ...(resource === undefined
      ? {}
      : {
          resource: {
            type: resource.resourceType,
            name: resource.resourceName,
            ...(resource.owner === "" ? {} : { owner: resource.owner }),
            ...(resource.description === "" ? {} : { description: resource.description }),
          },
        }),
    quota: (first(QuotaFailureSchema)?.violations ?? []).map(({ subject, description }) => ({ subject, description })),
    preconditions: (first(PreconditionFailureSchema)?.violations ?? []).map(({ type, subject, description }) => ({
      type,
      subject,
      description,
    })),
    ...(requestId === undefined ? {} : { requestId }),
  };
}

function checkedRetryDelayMs(retryDelayMs: number): number {
  if (!(retryDelayMs >= 0 && retryDelayMs <= MAX_RETRY_DELAY_MS)) {
    throw new RangeError(`retryDelayMs must be between 0 and ${MAX_RETRY_DELAY_MS}, got ${retryDelayMs}`);
  }
  return Math.ceil(retryDelayMs);
}

function fit<T, D extends DescMessage>(
  items: readonly T[],
  desc: D,
  wrap: (items: T[]) => MessageInitShape<D>,
): { kept: readonly T[]; omitted: number } {
  let bytes = 0;
  for (const [index, item] of items.entries()) {
    bytes += toBinary(desc, create(desc, wrap([item]))).length;
    // The first entry always stays: a cut list that names nothing would help nobody.
    if (bytes > MAX_LIST_BYTES && index > 0) {
      return { kept: items.slice(0, index), omitted: items.length - index };
    }
  }
  return { kept: items, omitted: 0 };
}

function omitted<T>(count: number, entry: (description: string) => T): T[] {
  return count === 0 ? [] : [entry(`${count} more not shown`)];
}
