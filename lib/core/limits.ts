// The bounds of the contract as numbers, with the reason where the number has one.

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The largest inline payload once encoded, in bytes. A quarter of NATS' default message, so that a dispatch fits with its task. */
export const MAX_INLINE_PAYLOAD_BYTES: number = 256 * 1024;

/**
 * How deep a JSON value may nest arrays and objects. Protobuf parsers refuse what nests more than 100 messages, and an object takes three
 * of them: a deeper value could be sent by one and read by nobody.
 */
export const MAX_JSON_DEPTH = 30;

/** The largest blob, in bytes. */
export const MAX_BLOB_BYTES = 100_000_000;

/** The most tasks in one bulk submission: JetStream's limit for an atomic batch. */
export const MAX_BATCH_TASKS = 1_000;

/** The most labels on a task or agent. */
export const MAX_LABELS = 32;

/** The longest label key, in characters. */
export const MAX_LABEL_KEY_LENGTH = 63;

/** The longest label value, in characters. */
export const MAX_LABEL_VALUE_LENGTH = 255;

/** The longest request id, in characters. */
export const MAX_REQUEST_ID_LENGTH = 256;

/** The longest media type, in characters. */
export const MAX_CONTENT_TYPE_LENGTH = 255;

/** The longest reason of a failure, in characters. */
export const MAX_REASON_LENGTH = 63;

/** The longest message of a failure, in characters. */
export const MAX_FAILURE_MESSAGE_LENGTH = 4_096;

/** The longest details of a failure, in bytes. */
export const MAX_FAILURE_DETAILS_BYTES: number = 16 * 1024;

/** The most reasons that a retry policy may name as not retryable. */
export const MAX_NON_RETRYABLE_REASONS = 32;

/** The largest factor by which the wait between attempts grows. */
export const MAX_BACKOFF_COEFFICIENT = 10;

/** How long the log is kept by default. */
export const DEFAULT_RETENTION_MS: number = 7 * DAY_MS;

/** The longest delay, deadline or result_ttl. A day below the default retention, so that whatever waits ends before its log does. */
export const MAX_WAIT_MS: number = 6 * DAY_MS;

/** The default limit of one attempt. */
export const DEFAULT_START_TO_CLOSE_MS = 30_000;

/** The longest attempt that a submission may ask for unless the mesh says otherwise. */
export const DEFAULT_MAX_START_TO_CLOSE_MS: number = DAY_MS;

/** How long an ended task is kept by default. */
export const DEFAULT_RESULT_TTL_MS: number = DAY_MS;

/** The longest wait between attempts. */
export const MAX_RETRY_INTERVAL_MS: number = DAY_MS;

/** The most attempts of a task. */
export const MAX_ATTEMPTS = 100;

/** The longest heartbeat timeout of a handler. */
export const MAX_HEARTBEAT_TIMEOUT_MS: number = HOUR_MS;

/** The longest long poll of GetTaskStatus. */
export const MAX_STATUS_WAIT_MS: number = MINUTE_MS;

/** How deep a queue may get by default before submissions are refused. */
export const DEFAULT_QUEUE_DEPTH_LIMIT = 10_000;

/** The default lease: an unacknowledged delivery without a sign of life goes to another agent after this. */
export const DEFAULT_LEASE_MS = 30_000;

/** The most capabilities of an agent. */
export const MAX_CAPABILITIES = 64;

/** The most attempts that an agent may run at once. */
export const MAX_CONCURRENCY = 1_000;

/** How many reports one request of an agent carries at most. */
export const MAX_REPORTS = 256;
