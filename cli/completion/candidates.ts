// What can stand at the end of a command line: found in the commands' own definitions, and where those only name a kind of thing, by
// asking for the things. Pure but for what it asks.
import type { Argument, Command, Option } from "commander";
import { wordsOf } from "../option-values.ts";

/** Something that can stand there. */
export interface Candidate {
  readonly value: string;
  readonly description: string;
}

/** The kinds of things that the mesh knows by name. */
export type Kind = "task" | "open-task" | "dead-letter" | "type" | "queue" | "agent" | "endpoint";

/** Names the things of a kind; of the mesh at this URL, or where the command looks by default. */
export type NameThings = (kind: Kind, url: string | undefined) => Promise<readonly Candidate[]>;

/** The candidates for the last of the words, which may be empty; the words are those behind the command's own name. */
export async function candidatesFor(
  program: Command,
  words: readonly string[],
  nameThings: NameThings,
): Promise<Candidate[]> {
  // Some shells (bash) take `--option=value` apart.
  const whole = words.filter((word, i) => word !== "=" || i === words.length - 1);
  const current = whole.at(-1) === "=" ? "" : (whole.at(-1) ?? "");
  const place = readUpTo(program, whole.slice(0, -1));
  const things = (kind: Kind | undefined): Promise<readonly Candidate[]> =>
    kind === undefined ? Promise.resolve([]) : nameThings(kind, place.url);

  if (place.pending !== undefined) return startingWith(current, await valuesOf(place.pending, current, things));
  const [name, value] = splitAtEquals(current);
  if (value !== undefined && !place.onlyArguments) {
    const option = findOption(place.command, name);
    if (option === undefined) return [];
    const values = startingWith(value, await valuesOf(option, value, things));
    return values.map((one) => ({ ...one, value: `${name}=${one.value}` }));
  }
  if (current.startsWith("-") && !place.onlyArguments) return startingWith(current, optionsOf(place.command));
  if (place.command.commands.length > 0 && place.given === 0) return startingWith(current, commandsOf(place.command));
  const argument = argumentAt(place.command, place.given);
  if (argument === undefined) return [];
  return startingWith(
    current,
    argument.argChoices?.map(plain) ?? (await things(kindOf(place.command, argument.name()))),
  );
}

/** Where the word to complete stands. */
interface Place {
  readonly command: Command;
  /** How many arguments of the command stand before it. */
  readonly given: number;
  /** The option whose value it is. */
  readonly pending: Option | undefined;
  /** Whether `--` stands before it. */
  readonly onlyArguments: boolean;
  /** The value of `--url`. */
  readonly url: string | undefined;
}

function readUpTo(program: Command, words: readonly string[]): Place {
  let place: Place = { command: program, given: 0, pending: undefined, onlyArguments: false, url: undefined };
  for (const word of words) place = after(place, word);
  return place;
}

function after(place: Place, word: string): Place {
  const { command, pending, onlyArguments } = place;
  if (pending !== undefined) {
    return { ...place, pending: undefined, ...(pending.long === "--url" ? { url: word } : {}) };
  }
  if (word === "--" && !onlyArguments) return { ...place, onlyArguments: true };
  if (word.startsWith("-") && !onlyArguments) {
    const [name, value] = splitAtEquals(word);
    const option = findOption(command, name);
    if (value !== undefined) return option?.long === "--url" ? { ...place, url: value } : place;
    return takesValue(option) ? { ...place, pending: option } : place;
  }
  const sub = place.given === 0 ? command.commands.find((one) => one.name() === word) : undefined;
  // `help` takes the name of a command.
  if (sub === undefined && word === "help" && command.commands.length > 0 && place.given === 0) return place;
  return sub === undefined ? { ...place, given: place.given + 1 } : { ...place, command: sub };
}

function splitAtEquals(word: string): [name: string, value: string | undefined] {
  const at = word.startsWith("--") ? word.indexOf("=") : -1;
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}

function takesValue(option: Option | undefined): boolean {
  return option !== undefined && (option.required || option.optional);
}

function findOption(command: Command, name: string): Option | undefined {
  const found = command.options.find(({ long, short }) => long === name || short === name);
  return found ?? (command.parent === null ? undefined : findOption(command.parent, name));
}

function optionsOf(command: Command): Candidate[] {
  const own = command.createHelp().visibleOptions(command);
  const inherited =
    command.parent === null ? [] : optionsOf(command.parent).filter(({ value }) => value !== "--version");
  const mine = own.flatMap(({ long, description }) => (long === undefined ? [] : [{ value: long, description }]));
  return [...mine, ...inherited.filter(({ value }) => !mine.some((one) => one.value === value))];
}

function commandsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((one) => ({ value: one.name(), description: one.summary() || one.description() }));
}

function argumentAt(command: Command, place: number): Argument | undefined {
  const last = command.registeredArguments.at(-1);
  return command.registeredArguments[place] ?? (last?.variadic === true ? last : undefined);
}

async function valuesOf(
  option: Option,
  current: string,
  things: (kind: Kind | undefined) => Promise<readonly Candidate[]>,
): Promise<readonly Candidate[]> {
  if (option.argChoices !== undefined) return option.argChoices.map(plain);
  const words = wordsOf(option.parseArg);
  if (words === undefined) return await things(KINDS.get(option.attributeName()));
  // A list: what stands before the last comma stays, and is not offered again.
  const before = current.slice(0, current.lastIndexOf(",") + 1);
  const taken = new Set(before.split(","));
  return words.filter((word) => !taken.has(word)).map((word) => plain(`${before}${word}`));
}

const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["task", "task"],
  ["type", "type"],
  ["queue", "queue"],
  ["agent", "agent"],
  ["endpoint", "endpoint"],
]);

function kindOf(command: Command, argument: string): Kind | undefined {
  if (argument === "task" && command.name() === "cancel") return "open-task";
  if (argument === "task" && command.name() === "retry") return "dead-letter";
  return KINDS.get(argument);
}

function plain(value: string): Candidate {
  return { value, description: "" };
}

function startingWith(start: string, candidates: readonly Candidate[]): Candidate[] {
  return candidates.filter(({ value }) => value.startsWith(start));
}
