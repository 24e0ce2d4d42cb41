// Time as a parameter: wall time for records, monotonic time for what has elapsed.

/** Where time comes from. Tests bring their own. */
export interface Clock {
  /** Milliseconds since 1970. For records; may jump. */
  now(): number;
  /** Milliseconds since some fixed moment. For elapsed time; never jumps. */
  monotonicMs(): number;
}
