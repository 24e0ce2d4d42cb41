// The keys as Ink tells them, as the dashboard understands them.
import { type Key as InkKey, useInput } from "ink";
import type { Key, NamedKey } from "./state/press.ts";

const NAMED: readonly (readonly [of: keyof InkKey, name: NamedKey])[] = [
  ["upArrow", "up"],
  ["downArrow", "down"],
  ["leftArrow", "left"],
  ["rightArrow", "right"],
  ["pageUp", "pageup"],
  ["pageDown", "pagedown"],
  ["home", "home"],
  ["end", "end"],
  ["return", "enter"],
  ["escape", "escape"],
  ["backspace", "backspace"],
  ["delete", "backspace"],
];

// What comes together with other keys comes as characters.
const CHARACTERS: ReadonlyMap<string, Key> = new Map<string, Key>([
  ["\r", { name: "enter" }],
  ["\n", { name: "enter" }],
  ["\t", { name: "tab" }],
  ["\u001b", { name: "escape" }],
  ["\u0003", { name: "interrupt" }],
  ["\u007f", { name: "backspace" }],
]);

/** The keys of one input: several where somebody types faster than the terminal tells, or pastes. */
export function keysFrom(input: string, key: InkKey): Key[] {
  if (key.ctrl) return input === "c" ? [{ name: "interrupt" }] : [];
  if (key.tab) return [{ name: key.shift ? "backtab" : "tab" }];
  const named = NAMED.find(([of]) => key[of] === true);
  if (named !== undefined) return [{ name: named[1] }];
  if (key.meta) return [];
  return Array.from(input, (char) => CHARACTERS.get(char) ?? { char });
}

/** Has every key told, for as long as the component is on the screen. */
export function useKeys(onKey: (key: Key) => void): void {
  useInput((input, key) => {
    for (const each of keysFrom(input, key)) onKey(each);
  });
}
