// Conditions of SQL statements with the values that belong to them. Values never become part of a statement's text.

/** A condition. */
export interface Condition {
  readonly sql: string;
  readonly parameters: readonly (string | number)[];
}

/** That a column has a value. */
export function is(column: string, value: string | number): Condition {
  return { sql: `${column} = ?`, parameters: [value] };
}

/** That a column has a value, if one is asked for. */
export function optional(column: string, value: string | undefined): readonly Condition[] {
  return value === undefined || value === "" ? [] : [is(column, value)];
}

/** That a column has one of these values; nothing if there are none. */
export function anyOf(column: string, values: readonly (string | number)[]): readonly Condition[] {
  return values.length === 0 ? [] : [{ sql: `${column} IN (${values.map(() => "?").join(", ")})`, parameters: values }];
}

/** That a task, as `t`, carries a label with a value. */
export function labelled([key, value]: readonly [string, string]): Condition {
  const sql =
    "EXISTS (SELECT 1 FROM labels o WHERE o.tenant = t.tenant AND o.key = ? AND o.value = ?" +
    " AND o.create_ms = t.create_ms AND o.task_id = t.task_id)";
  return { sql, parameters: [key, value] };
}
