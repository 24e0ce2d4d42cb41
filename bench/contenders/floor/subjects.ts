// The subjects on which the floor's processes meet, beside those of the mesh's streams.

/** Where the worker reports. */
export const REPORT_SUBJECT = "bench.floor.report";
/** Where an empty request gets an empty answer. */
export const EMPTY_SUBJECT = "bench.floor.empty";
/** The priority of all tasks of the benchmark: NORMAL. */
export const PRIORITY = 5;
