// What the queues of others are given as a task: its id, by which the benchmark knows it again, and a text as input.

/** The data of a job. */
export interface JobInput {
  readonly id: string;
  readonly input: string;
}

const texts = new Map<number, string>();

/** A job's data with an input of so many bytes. */
export function jobInput(id: string, inputBytes: number): JobInput {
  let input = texts.get(inputBytes);
  if (input === undefined) {
    input = "x".repeat(inputBytes);
    texts.set(inputBytes, input);
  }
  return { id, input };
}
