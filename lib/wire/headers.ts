// The names of NATS headers: JetStream's own, and Mycel's.

/** JetStream: refuse the message unless the last one on its subject, or on the filter, has this sequence. */
export const EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence";
/** JetStream: the filter on which the expectation is checked. */
export const EXPECTED_LAST_SUBJECT_SEQUENCE_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject";
/** JetStream: a message with the same id within the stream's window is stored once. */
export const MESSAGE_ID = "Nats-Msg-Id";
/** JetStream: the atomic batch to which a message belongs. */
export const BATCH_ID = "Nats-Batch-Id";
/** JetStream: the place of a message in its batch, from 1. */
export const BATCH_SEQUENCE = "Nats-Batch-Sequence";
/** JetStream: the last message of a batch. */
export const BATCH_COMMIT = "Nats-Batch-Commit";
/** JetStream: when a scheduled message is due. */
export const SCHEDULE = "Nats-Schedule";
/** JetStream: where a scheduled message arrives. */
export const SCHEDULE_TARGET = "Nats-Schedule-Target";
/** JetStream: the sequence of a republished or directly read message. */
export const SEQUENCE = "Nats-Sequence";
/** JetStream: the sequence of the message before it on its subject. */
export const LAST_SEQUENCE = "Nats-Last-Sequence";
/** JetStream: the subject of a directly read message. */
export const SUBJECT = "Nats-Subject";
/** JetStream: how many messages that match follow a directly read one of a batch. */
export const PENDING = "Nats-Num-Pending";
/** JetStream: the time at which a directly read message was stored. */
export const TIME_STAMP = "Nats-Time-Stamp";
/** JetStream: why it stored a message by itself, e.g. that the last one on its subject expired. */
export const MARKER_REASON = "Nats-Marker-Reason";
/** JetStream: in a heartbeat, where a consumer that waits for its flow control wants to hear that it may go on. */
export const CONSUMER_STALLED = "Nats-Consumer-Stalled";
/** Key-value buckets: what a message does to its key, `DEL` or `PURGE`; not there for a value. */
export const OPERATION = "KV-Operation";
/** W3C trace context of the submission. */
export const TRACEPARENT = "traceparent";
/** W3C trace context: the vendors' part. */
export const TRACESTATE = "tracestate";
/** Mycel: the tenant on whose behalf one coordinator asks another. */
export const TENANT = "Mycel-Tenant";
/** Mycel: the scope of tasks that the question of one coordinator to another is about; not there for all. */
export const SCOPE = "Mycel-Scope";
/** Mycel: what makes a message to an agent a signal of a coordinator, and not an answer that somebody had sent there. */
export const SIGNAL = "Mycel-Signal";
/** Mycel: the error with which one coordinator answers another. */
export const ERROR = "Mycel-Error";
